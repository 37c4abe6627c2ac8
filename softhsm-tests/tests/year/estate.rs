//! What there is: twelve spaces, their keys, the identifier domains and the edges between them.

use crate::people;
use crate::world::World;
use kms_core::class::Class;
use kms_core::command::Change;
use kms_core::key::Origin;
use kms_core::lifecycle::Lifecycle;
use kms_core::space::{InputType, SpaceKind};
use kms_core::time::DAY;

/// Spaces that receive a supplier's data, each with an identifier domain of its own.
const SUPPLIERS: [&str; 4] = ["leon", "nancy", "lyon", "joseph"];

/// Workspaces of research projects; the first three end within the year.
pub(crate) const PROJECTS: [&str; 6] = ["asthma", "bones", "cancer", "diet", "eyes", "fever"];

const INGEST_KEYS: [&str; 6] = ["object", "volume", "database", "backup", "staging", "index"];
const PROJECT_KEYS: [&str; 11] = [
    "object", "volume", "home", "database", "export", "notebook", "cache", "model", "archive",
    "scratch", "backup",
];
const WAREHOUSE_KEYS: [&str; 12] = [
    "object",
    "volume",
    "database",
    "backup",
    "omop",
    "vocabulary",
    "staging",
    "index",
    "export",
    "reports",
    "quality",
    "replica",
];
const PLATFORM_KEYS: [&str; 6] = ["logs", "backup", "secrets", "registry", "cluster", "git"];

/// Services: what encrypts, and what evaluates. Nobody evaluates two consecutive edges.
pub(crate) fn services() -> String {
    let into = |from: &str| format!("spaces/warehouse/edges/{from}");
    let first: Vec<String> = SUPPLIERS.iter().chain(&["link"]).map(|s| into(s)).collect();
    let second: Vec<String> = PROJECTS.iter().map(|p| onward(p)).collect();
    let spaces: Vec<&str> = SUPPLIERS
        .iter()
        .chain(&PROJECTS)
        .chain(&["warehouse", "platform"])
        .copied()
        .collect();
    let spaces = spaces.join(", ");
    let mut text = format!(
        "  - principal: service/etl\n    roles: [{{role: data-service, spaces: [{spaces}]}}]\n"
    );
    for (name, edges) in [("first", first), ("second", second)] {
        let edges = edges.join(", ");
        text.push_str(&format!(
            "  - principal: service/{name}\n    roles: [{{role: pseudonymiser, edges: [{edges}]}}]\n"
        ));
    }
    text
}

fn onward(project: &str) -> String {
    format!("spaces/{project}/edges/warehouse")
}

/// Makes all of it; gives how many keys callers use.
pub(crate) fn make(world: &World) -> usize {
    for supplier in SUPPLIERS {
        space(world, supplier, SpaceKind::Ingest, 180);
        keys(world, supplier, &INGEST_KEYS);
    }
    space(world, "warehouse", SpaceKind::Warehouse, 365);
    keys(world, "warehouse", &WAREHOUSE_KEYS);
    space(world, "platform", SpaceKind::Platform, 90);
    keys(world, "platform", &PLATFORM_KEYS);
    for (project, days) in PROJECTS.iter().zip([365, 365, 60, 120, 240, 30]) {
        space(world, project, SpaceKind::Project, days);
        keys(world, project, &PROJECT_KEYS);
    }
    for supplier in SUPPLIERS.iter().chain(&["link"]) {
        domain(world, supplier, None);
        let code = format!("wh{supplier}");
        edge(
            world,
            &format!("spaces/warehouse/edges/{supplier}"),
            &code,
            InputType::Opaque,
        );
    }
    domain(world, "warehouse", Some("warehouse"));
    for project in PROJECTS {
        edge(
            world,
            &onward(project),
            &format!("p{project}"),
            InputType::Pseudonym,
        );
    }
    let view = world.view();
    let all = view.all().filter_map(|s| s.value.as_key());
    all.filter(|key| Class::OFFERED.contains(&key.class))
        .count()
}

/// A partner comes, whose keys come in. It is late, because a pair takes long to make, and lives a
/// week.
pub(crate) fn imports(world: &mut World) {
    world.hsm_away = false;
    world.disk_full = false;
    world.starts();
    key(world, "leon", "import", Class::ImportWrapping);
}

fn space(world: &World, name: &str, kind: SpaceKind, days: u64) {
    world.must(
        "person/stella",
        Change::CreateSpace {
            name: format!("spaces/{name}").parse().unwrap(),
            title: "A space".into(),
            kind,
            lifecycle: Lifecycle {
                protecting: Some(days * DAY),
                processing: Some(days * DAY),
                ..Lifecycle::default()
            },
        },
    );
}

fn keys(world: &World, space: &str, names: &[&str]) {
    for name in names {
        key(world, space, name, Class::DataAtRest);
    }
}

fn key(world: &World, space: &str, name: &str, class: Class) {
    world.must(
        "person/olga",
        Change::CreateKey {
            name: format!("spaces/{space}/keys/{name}").parse().unwrap(),
            class,
            title: "A key".into(),
            origin: Origin::Generated,
            exportable: false,
            labels: [].into(),
            study: None,
            lifecycle: Lifecycle::default(),
            intake: None,
        },
    );
}

fn domain(world: &World, name: &str, source: Option<&str>) {
    world.must(
        "person/stella",
        Change::CreateDomain {
            name: format!("domains/{name}").parse().unwrap(),
            title: "Identifiers".into(),
            source: source.map(|space| format!("spaces/{space}").parse().unwrap()),
        },
    );
}

fn edge(world: &World, name: &str, code: &str, input: InputType) {
    let change = Change::CreateEdge {
        name: name.parse().unwrap(),
        code: code.parse().unwrap(),
        input,
        exportable: false,
    };
    people::agreed(world, "person/stella", change);
}

//! The point of it: a supplier's deployment and the warehouse's, one patient, two projects; and what
//! the graph refuses.

use crate::{LINK, also, declare, evaluate, parsed};
use kms_core::pseudonym::Pseudonym;
use kms_proto::v1::{self, identifier::Identifier};
use softhsm_tests::Deployment;
use softhsm_tests::gateway::{Gateway, identifier};
use softhsm_tests::supplier::{REGISTER, supplier};

fn nir(nir: &str, birth_date: &str, sex: &str) -> v1::Identifier {
    identifier(Identifier::Nir(v1::Nir {
        nir: nir.into(),
        birth_date: birth_date.into(),
        sex: sex.into(),
    }))
}

/// Level 1 at the supplier, level 2 in the warehouse, with secrets that have nothing to do with each
/// other; what a hospital and the SNDS know of one patient meets in the warehouse, and two projects
/// know two strangers.
#[test]
fn one_patient_meets_in_the_warehouse_and_is_two_strangers_in_two_projects() {
    let mut lyon = supplier();
    let registrar = Gateway::connect(&mut lyon, "registrar");
    let people = vec![
        nir("255081416802538", "1955-08-03", "2"),
        // The same number a century earlier.
        nir("255081416802538", "1855-08-03", "2"),
        nir("255082A16802597", "1955-08-03", "2"),
        nir("255081416802538", "1955-08-03", "2"),
    ];
    let first = parsed(&registrar, REGISTER, people);
    assert_eq!(first[0], first[3]);
    assert_ne!(first[0], first[1]);
    assert_ne!(first[0], first[2]);

    // The hospital's record and the SNDS's both arrive with it.
    let second_project = "spaces/project-02/edges/warehouse";
    let bindings = also("project-02-pseudonymiser", &[second_project]);
    let mut kms = Deployment::emc2().bindings(&bindings).start();
    kms.furnish();
    declare(
        &kms,
        "spaces:
  - {name: project-02, kind: project, title: Another project}
edges:
  - {target: project-02, domain: warehouse, code: p02, input: pseudonym, exportable: false}
",
    );
    let link = Gateway::connect(&mut kms, "link-pseudonymiser");
    let arrived = first[0].to_text().unwrap();
    let of_hospital = evaluate(&link, LINK, std::iter::once(arrived.clone()));
    let of_snds = evaluate(&link, LINK, std::iter::once(arrived));
    assert_eq!(of_hospital, of_snds);
    assert_ne!(of_hospital[0].value, first[0].value);

    let mut strangers = Vec::new();
    for (who, edge) in [
        (
            "project-01-pseudonymiser",
            "spaces/project-01/edges/warehouse",
        ),
        ("project-02-pseudonymiser", second_project),
    ] {
        let gateway = Gateway::connect(&mut kms, who);
        let text = of_hospital[0].to_text().unwrap();
        let parent = identifier(Identifier::Pseudonym(text));
        strangers.push(parsed(&gateway, edge, vec![parent]).remove(0));
    }
    let values: Vec<_> = strangers.iter().map(|stranger| stranger.value).collect();
    assert_ne!(values[0], values[1]);
    let codes: Vec<_> = strangers
        .iter()
        .map(|stranger| stranger.code.as_str())
        .collect();
    assert_eq!(codes, ["p01", "p02"]);
}

/// A row that lacks a field, or whose number is not one person's for ever, is rejected alone, and
/// nothing of it is told.
#[test]
fn a_row_that_lacks_something_is_rejected_and_never_shortened() {
    let mut lyon = supplier();
    let registrar = Gateway::connect(&mut lyon, "registrar");
    let rows = [
        ("255081416802538", "1955-08-03", "2", None),
        ("2550814168025", "1955-08-03", "2", Some("15 characters")),
        ("255081416802539", "1955-08-03", "2", Some("key")),
        ("255082a16802597", "1955-08-03", "2", Some("15 characters")),
        ("755081416802538", "1955-08-03", "2", Some("provisional")),
        ("000000000000097", "1955-08-03", "2", Some("fictitious")),
        ("255081416802538", "", "2", Some("birth date")),
        ("255081416802538", "1955-08", "2", Some("birth date")),
        ("255081416802538", "1955-08-03", "", Some("sex")),
        ("", "1955-08-03", "2", Some("15 characters")),
    ];
    let given = rows.map(|(number, date, sex, _)| nir(number, date, sex));
    let results = registrar.evaluate(REGISTER, given.to_vec()).unwrap();
    for ((number, _, _, wanted), result) in rows.iter().zip(results) {
        match (wanted, result) {
            (None, result) => assert!(Pseudonym::parse(&result.unwrap()).is_ok()),
            (Some(why), result) => {
                let refused = result.unwrap_err();
                assert!(refused.message().contains(why), "{why}: {refused:?}");
                assert!(number.is_empty() || !refused.message().contains(number));
            }
        }
    }
    // Another type than the edge's, which has all that it needs.
    let opaque = identifier(Identifier::Opaque("255081416802538".into()));
    let refused = registrar
        .evaluate(REGISTER, vec![opaque])
        .unwrap()
        .remove(0);
    assert!(refused.unwrap_err().message().contains("type nir"));
    let log = lyon.log();
    assert!(!log.contains("255081416802538") && !log.contains("1955-08-03"));
    // The same through the command line.
    let shown = lyon.cli("registrar");
    let eval = [
        "pseudonym",
        "eval",
        "--edge",
        "register/nir",
        "--input",
        "nir",
    ];
    let shown = |line| shown.run(eval.into_iter().chain([line]));
    shown("255081416802538,1955-08-03,2").succeeds();
    shown("255081416802538,1955-08-03").fails(3).saying("sex");
}

#[test]
fn the_graph_has_one_way_in_no_way_back_and_may_end_outside() {
    let kms = Deployment::emc2().start();
    kms.furnish();
    let steward = kms.cli("stella");
    let edge =
        |name, code, input| steward.run(["edge", "create", name, "--code", code, "--input", input]);
    // National identifiers are a supplier's.
    edge("project-01/link", "p01nir", "nir")
        .fails(3)
        .saying("supplier");
    // Back, over two edges.
    let domain = |name, source| steward.run(["domain", "create", name, "--source", source]);
    domain("project", "project-01").succeeds();
    edge("warehouse/project", "back", "pseudonym")
        .fails(3)
        .saying("back into it");
    // A second name for the same identifiers would be a second way in.
    domain("again", "warehouse")
        .fails(6)
        .saying("domains/warehouse");
    // And back, in a plan.
    std::fs::write(
        kms.directory().join("cycle.yaml"),
        "edges:\n  - {target: warehouse, domain: project, code: back, input: pseudonym, exportable: false}\n",
    )
    .unwrap();
    let plan = steward.run(["inventory", "plan", "-f", "cycle.yaml"]);
    plan.fails(3).saying("line 2");
    // The same edge again, under another code.
    edge("project-01/warehouse", "p01again", "pseudonym").fails(6);

    let child = [
        "space",
        "create",
        "child",
        "--kind",
        "outside",
        "--title",
        "A child system",
    ];
    steward.run(child).succeeds();
    edge("child/warehouse", "child", "pseudonym").succeeds();
    let key = ["key", "create", "child/object", "--class", "data-at-rest"];
    steward.run(key).fails(3).saying("outside");
    domain("child", "child").fails(3).saying("outside");

    let graph = |form| kms.cli("ada").run(["edge", "graph", "-o", form]).succeeds();
    let table = graph("table").text();
    assert!(
        table.contains("domains/link") && table.contains("whlink"),
        "{table}"
    );
    assert_eq!(graph("json").json().as_array().unwrap().len(), 3);
    assert!(
        graph("dot")
            .text()
            .contains("\"spaces/child\" [label=\"child\", shape=doublecircle]")
    );
    assert!(graph("svg").text().contains(">p01<"));
    kms.cli("ada").run(["key", "list", "-o", "svg"]).fails(2);

    // An edge that nobody declared is none.
    let undeclared = ["pseudonym", "eval", "--edge", "project-01/link", "7"];
    let undeclared = kms.cli("link-pseudonymiser").run(undeclared);
    assert!(matches!(undeclared.code(), Some(4 | 5)), "{undeclared}");
}

//! Plans of a small inventory, and of what becomes of it.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod budgets;

use super::*;
use crate::inventory::document::Class;
use crate::inventory::export;
use crate::inventory::state::{Current, CurrentQuota, CurrentSpace};
use crate::yaml;

const WHOLE: &str = "\
spaces:
  - {name: ingest-lyon, kind: ingest, title: Centre Léon Bérard}
  - {name: warehouse, kind: warehouse}
  - {name: project-01, kind: project}
domains:
  - {name: link, title: Hospital link}
  - {name: warehouse, source: warehouse}
edges:
  - {target: warehouse, domain: link, code: whlink, input: opaque, exportable: false}
  - {target: project-01, domain: warehouse, code: p01, input: pseudonym}
keys:
  - {name: ingest-lyon/object, class: data-at-rest, title: Objects, labels: {tier: hot}}
  - {name: ingest-lyon/import, class: import-wrapping}
  - {name: ingest-lyon/legacy, class: data-at-rest, origin: external}
quotas:
  - {edge: warehouse/link, who: each, limits: {items/day: 2_500_000, items/year: 7000000}, reason: refresh}
  - {key: ingest-lyon/object, who: service/etl, limits: {requests/minute: 600}, reason: fairness}
";

fn document(text: &str) -> Document {
    yaml::parse(text).unwrap()
}

fn plan(text: &str, state: &State) -> Result<Plan, Error> {
    Plan::new("emc2-dev", &document(text), state)
}

/// The state after a plan was applied, as the service would show it.
fn applied(plan: &Plan, mut state: State) -> State {
    for step in plan.steps.clone() {
        match step {
            Step::CreateSpace(mut space) => {
                space.title.get_or_insert_default();
                let etag = "1".to_owned();
                let name = space.name.clone();
                state.spaces.insert(name, CurrentSpace { space, etag });
            }
            Step::UpdateSpace(update) => {
                let current = state.spaces.get_mut(&update.name).unwrap();
                current.etag.push('1');
                if let Some(title) = update.title {
                    current.space.title = Some(title.to);
                }
                if let Some(lifecycle) = update.lifecycle {
                    current.space.lifecycle = Some(lifecycle.to);
                }
            }
            Step::PutQuota(put) => {
                let current = state.quotas.get(&put.name);
                let etag = current.map_or("1", |current| current.etag.as_str());
                let etag = format!("{etag}1");
                let quota = put.quota;
                state.quotas.insert(put.name, CurrentQuota { quota, etag });
            }
            Step::CreateDomain(mut one) => {
                one.title.get_or_insert_default();
                state.domains.insert(one.name.clone(), one);
            }
            Step::CreateEdge(one) => {
                state.edges.insert(one.name(), one);
            }
            Step::CreateKey(mut key) => {
                key.title.get_or_insert_default();
                key.labels.get_or_insert_default();
                let etag = "1".to_owned();
                state.keys.insert(key.name.clone(), Current { key, etag });
            }
            Step::UpdateKey(update) => {
                let current = state.keys.get_mut(&update.name).unwrap();
                current.etag.push('1');
                if let Some(title) = update.title {
                    current.key.title = Some(title.to);
                }
                if let Some(labels) = update.labels {
                    current.key.labels = Some(labels.to);
                }
                if let Some(study) = update.study {
                    current.key.study = study.to;
                }
                if let Some(lifecycle) = update.lifecycle {
                    current.key.lifecycle = Some(lifecycle.to);
                }
            }
        }
    }
    state
}

fn whole() -> State {
    applied(&plan(WHOLE, &State::default()).unwrap(), State::default())
}

fn fault(text: &str, state: &State) -> String {
    let refused = plan(text, state).unwrap_err();
    assert_eq!(refused.kind(), Kind::Invalid);
    refused.to_string()
}

#[test]
fn everything_is_made_in_an_order_that_works_and_then_nothing() {
    let first = plan(WHOLE, &State::default()).unwrap();
    let kinds: Vec<_> = first.steps.iter().map(Step::kind).collect();
    assert_eq!(
        kinds,
        [
            "space", "space", "space", "domain", "domain", "key", "key", "key", "edge", "edge",
            "quota", "quota"
        ]
    );
    let again = plan(WHOLE, &whole()).unwrap();
    assert_eq!((again.steps.len(), again.unchanged), (0, 12));
    assert!(again.undeclared.is_empty());
}

#[test]
fn the_plan_of_an_export_is_empty() {
    let state = whole();
    let text = export::yaml(state.clone()).unwrap();
    insta::assert_snapshot!(text);
    let plan = plan(&text, &state).unwrap();
    assert!(
        plan.steps.is_empty() && plan.undeclared.is_empty(),
        "{text}"
    );
    assert_eq!(plan.unchanged, 12);
}

#[test]
fn title_and_labels_change_under_the_planned_etag() {
    let text = WHOLE.replace("Objects, labels: {tier: hot}", "Hot objects, labels: {}");
    let plan = plan(&text, &whole()).unwrap();
    let [Step::UpdateKey(update)] = plan.steps.as_slice() else {
        unreachable!("{plan:?}");
    };
    assert_eq!(
        (update.name.as_str(), update.etag.as_str()),
        ("ingest-lyon/object", "1")
    );
    assert_eq!(update.title.as_ref().unwrap().to, "Hot objects");
    assert!(update.labels.as_ref().unwrap().to.is_empty());
    assert_eq!(plan.unchanged, 11);
}

#[test]
fn what_is_left_out_is_kept() {
    let without = WHOLE.replace(", title: Objects, labels: {tier: hot}", "");
    assert!(plan(&without, &whole()).unwrap().steps.is_empty());
    let fewer = plan("spaces: [{name: warehouse, kind: warehouse}]", &whole()).unwrap();
    assert!(fewer.steps.is_empty());
    assert_eq!(fewer.undeclared.len(), 11);
    assert!(
        fewer
            .undeclared
            .contains(&"key ingest-lyon/object".to_owned())
    );
}

#[test]
fn a_study_is_bound_and_moved_and_stays_where_the_file_is_silent() {
    let study = |day: &str| {
        let told = format!(", study: {{purpose: cardio, ends: {day}}}}}\n");
        WHOLE.replace(", labels: {tier: hot}}\n", &told)
    };
    let bound = applied(&plan(&study("2027-01-01"), &whole()).unwrap(), whole());
    assert!(plan(&study("2027-01-01"), &bound).unwrap().steps.is_empty());
    assert!(plan(WHOLE, &bound).unwrap().steps.is_empty());
    let later = plan(&study("2028-01-01"), &bound).unwrap();
    let kept = serde_json::to_string(&later).unwrap();
    assert!(kept.contains(r#""ends":"2028-01-01""#), "{kept}");
    let exported = export::yaml(bound.clone()).unwrap();
    assert!(
        plan(&exported, &bound).unwrap().steps.is_empty(),
        "{exported}"
    );
    assert!(yaml::parse::<Document>(&study("someday")).is_err());
}

#[test]
fn a_lifecycle_is_said_and_changed_and_stays_where_the_file_is_silent() {
    let said = |days: u32| {
        let told = format!("kind: warehouse, lifecycle: {{rotate-after: {days}d}}}}");
        let text = WHOLE.replace("kind: warehouse}", &told);
        let told = format!(", labels: {{tier: hot}}, lifecycle: {{process-for: {days}d}}}}\n");
        text.replace(", labels: {tier: hot}}\n", &told)
    };
    let first = plan(&said(90), &whole()).unwrap();
    let steps: Vec<_> = first.steps.iter().map(|s| (s.kind(), s.name())).collect();
    let expected = [
        ("space", "warehouse".into()),
        ("key", "ingest-lyon/object".into()),
    ];
    assert_eq!(steps, expected);
    let there = applied(&first, whole());
    assert!(plan(&said(90), &there).unwrap().steps.is_empty());
    assert!(plan(WHOLE, &there).unwrap().steps.is_empty());
    assert_eq!(plan(&said(30), &there).unwrap().steps.len(), 2);
    let exported = export::yaml(there.clone()).unwrap();
    assert!(
        exported.contains("lifecycle: {rotate-after: 90d}"),
        "{exported}"
    );
    assert!(plan(&exported, &there).unwrap().steps.is_empty());
    let late = first.check("emc2-dev", &there).unwrap_err();
    assert!(
        late.to_string().contains("space warehouse has changed"),
        "{late}"
    );
    assert!(
        yaml::parse::<Document>(
            "spaces: [{name: a, kind: project, lifecycle: {rotate-after: soon}}]"
        )
        .is_err()
    );
}

#[test]
fn what_can_never_change_names_both_values() {
    let text = WHOLE
        .replace("kind: ingest", "kind: project")
        .replace("code: p01", "code: p1")
        .replace("origin: external", "origin: generated");
    let told = fault(&text, &whole());
    assert!(
        told.contains(
            "line 2: space ingest-lyon: kind is ingest and can never change, the file says project"
        ),
        "{told}"
    );
    assert!(
        told.contains("code is p01 and can never change, the file says p1"),
        "{told}"
    );
    assert!(
        told.contains("origin is external and can never change, the file says generated"),
        "{told}"
    );
}

#[test]
fn faults_of_the_file_are_told_together_each_with_its_line() {
    let told = fault(
        "\
spaces: [{name: warehouse, kind: warehouse}]
domains:
  - {name: link}
  - {name: link}
  - {name: local, source: nowhere}
edges:
  - {target: warehouse, domain: link, code: a1, input: opaque}
  - {target: project-01, domain: link, code: a1, input: pseudonym}
  - {target: warehouse, domain: lnik, code: a2, input: opaque}
keys:
  - {name: warehose/object, class: data-at-rest}
  - {name: warehouse/edge-link, class: data-at-rest}
  - {name: warehouse/renewal-a1-2, class: data-at-rest}
  - {name: object, class: data-at-rest}
",
        &State::default(),
    );
    insta::assert_snapshot!(told);
}

#[test]
fn a_file_that_is_not_an_inventory_is_told_by_line() {
    let told = |text: &str| yaml::parse::<Document>(text).unwrap_err().to_string();
    insta::assert_snapshot!(
        [
            told("spaces:\n  - {name: a, kind: ingest, titel: b}\n"),
            told("spaces:\n  - {name: a, kind: ingst}\n"),
            told("keys:\n  - {name: a/b, class: pseudonymisation}\n"),
            told("keys: []\nkeys: []\n"),
            told("spaces:\n  - {name: a}\n"),
            told("keyz: []\n"),
            told("spaces: {"),
        ]
        .join("\n")
    );
}

#[test]
fn a_stale_plan_is_refused() {
    let empty = State::default();
    let first = plan(WHOLE, &empty).unwrap();
    first.check("emc2-dev", &empty).unwrap();
    assert_eq!(
        first.check("emc2", &empty).unwrap_err().kind(),
        Kind::Conflict
    );
    let late = first.check("emc2-dev", &whole()).unwrap_err();
    assert_eq!(late.kind(), Kind::Conflict);
    assert!(
        late.to_string().contains("space ingest-lyon exists by now"),
        "{late}"
    );

    let text = WHOLE.replace("Objects", "Hot objects");
    let update = plan(&text, &whole()).unwrap();
    let mut changed = whole();
    update.check("emc2-dev", &changed).unwrap();
    changed.keys.get_mut("ingest-lyon/object").unwrap().etag = "2".into();
    assert_eq!(
        update.check("emc2-dev", &changed).unwrap_err().kind(),
        Kind::Conflict
    );
}

#[test]
fn a_plan_is_kept_and_read_again() {
    let text = WHOLE.replace("Objects", "Hot objects");
    for plan in [
        plan(WHOLE, &State::default()).unwrap(),
        plan(&text, &whole()).unwrap(),
    ] {
        let kept = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<Plan>(&kept).unwrap(), plan);
    }
    let Step::CreateKey(key) = &plan(WHOLE, &State::default()).unwrap().steps[5] else {
        unreachable!("keys come after spaces and domains");
    };
    assert_eq!(key.class, Class::DataAtRest);
}

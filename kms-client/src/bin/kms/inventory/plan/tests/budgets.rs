//! Plans of budgets.

use super::*;

/// What becomes of a budget: changed under its etag, kept where it is left out, taken back where
/// the file says that nothing of its own holds.
#[test]
fn a_budget_is_set_once_and_changed_under_its_etag() {
    let state = whole();
    let put = |text: &str, state: &State| match plan(text, state).unwrap().steps.as_slice() {
        [Step::PutQuota(put)] => put.clone(),
        other => unreachable!("{other:?}"),
    };
    let link = "spaces/warehouse/edges/link/quotas/each";
    let more = put(&WHOLE.replace("7000000", "9000000"), &state);
    assert_eq!((more.name.as_str(), more.etag.as_str()), (link, "11"));
    let first = plan(WHOLE, &State::default()).unwrap();
    let Some(Step::PutQuota(made)) = first.steps.last() else {
        unreachable!("{first:?}");
    };
    assert_eq!((made.etag.as_str(), made.from.len()), (NEVER_SET, 0));

    // Left out it is kept, and said to be.
    let line = WHOLE.lines().find(|line| line.contains("refresh")).unwrap();
    let without = plan(&WHOLE.replace(line, ""), &state).unwrap();
    assert!(without.steps.is_empty());
    assert_eq!(without.undeclared, ["quota edge warehouse/link of each"]);

    // Taken back, it is as if it were not there, and its name has an etag still.
    let none = WHOLE.replace("{items/day: 2_500_000, items/year: 7000000}", "{}");
    let gone = plan(&none, &state).unwrap();
    assert!(gone.steps.first().is_some_and(Step::changes));
    let state = applied(&gone, state);
    assert_eq!(plan(&none, &state).unwrap().steps, []);
    assert!(!export::yaml(state.clone()).unwrap().contains("refresh"));
    assert_eq!(
        plan(&WHOLE.replace(line, ""), &state).unwrap().undeclared,
        [""; 0]
    );
    let again = put(WHOLE, &state);
    assert_eq!((again.etag.as_str(), again.from.len()), ("111", 0));
    let kept = Plan {
        steps: vec![Step::PutQuota(again)],
        ..plan(WHOLE, &state).unwrap()
    };
    kept.check("emc2-dev", &state).unwrap();
    let stale = kept.check("emc2-dev", &whole()).unwrap_err();
    assert_eq!(stale.kind(), Kind::Conflict);
}

#[test]
fn a_budget_with_a_fault_is_told_by_line() {
    for (from, to, says) in [
        (
            "edge: warehouse/link, who",
            "edge: warehouse/lonk, who",
            "there is no edge",
        ),
        (
            "{edge: warehouse/link, who",
            "{edge: warehouse/link, key: a/b, who",
            "on one edge or",
        ),
        (
            "{key: ingest-lyon/object, who",
            "{who",
            "on one edge or on one key",
        ),
        ("service/etl", "etl", "line 17"),
        (
            "items/day: 2_500_000, items/year: 7000000",
            "requests/day: 1",
            "limits its items",
        ),
        (
            "{key: ingest-lyon/object, who: service/etl",
            "{edge: warehouse/link, who: each",
            "twice",
        ),
    ] {
        assert!(WHOLE.contains(from), "{from}");
        let told = fault(&WHOLE.replace(from, to), &State::default());
        assert!(told.contains(says), "{says}: {told}");
    }
    for wrong in ["items/day: 0", "items/decade: 1", "day/items: 1"] {
        let text = WHOLE.replace("requests/minute: 600", wrong);
        assert!(yaml::parse::<Document>(&text).is_err(), "{wrong}");
    }
}

/// What an edge may be asked is set once the edge is there.
#[test]
fn a_budget_follows_what_it_is_on() {
    let steps = plan(WHOLE, &State::default()).unwrap().steps;
    let named = |name: &str| steps.iter().find(|step| step.name() == name).unwrap();
    let budget = named("edge warehouse/link of each");
    assert!(budget.follows(named("warehouse/link")));
    assert!(!budget.follows(named("project-01/warehouse")));
    assert!(!named("warehouse/link").follows(budget));
    assert!(named("key ingest-lyon/object of service/etl").follows(named("ingest-lyon/object")));
}

//! That nobody traces a pseudonym back, nor follows it across two spaces, by any combination of roles.

use crate::rules::{POLICY, bound, judged, world};
use crate::sample::{NOW, put};
use kms_core::space::{Domain, Edge, InputType};
use kms_core::value::Value;
use kms_core::view::View;

/// An edge that leads on from the pseudonyms of one space into another.
fn edge(view: &mut View, from: &str, to: &str) {
    put(
        view,
        Value::Domain(Domain {
            name: format!("domains/{from}").parse().unwrap(),
            title: String::new(),
            source: Some(format!("spaces/{from}").parse().unwrap()),
            created: NOW,
        }),
    );
    put(
        view,
        Value::Edge(Edge {
            name: format!("spaces/{to}/edges/{from}").parse().unwrap(),
            code: format!("{}{}", &from[..3], &to[..3]).parse().unwrap(),
            input: InputType::Pseudonym,
            exportable: false,
            key: format!("spaces/{to}/keys/edge-{from}").parse().unwrap(),
            created: NOW,
        }),
    );
}

/// Two edges of which the second leads on from where the first led.
#[test]
fn nobody_evaluates_two_consecutive_edges() {
    let mut view = world(POLICY);
    edge(&mut view, "lab", "elsewhere");
    judged(&view).unwrap();
    let both = r#"{"principal":"service/p","roles":[{"role":"pseudonymiser","edges":["spaces/lab/edges/link","spaces/elsewhere/edges/lab"]}]}"#;
    put(&mut view, bound(both));
    let refused = judged(&view).unwrap_err();
    assert!(refused.message().contains("follow each other"), "{refused}");
}

/// A steward may follow a person into every space below, when others agree: whoever agrees counts on
/// the steward reading in none of them.
#[test]
fn whoever_follows_people_reads_in_none_of_the_spaces_where_that_leads() {
    let follows = |reads: &str| {
        format!(
            r#"{{"principal":"person/both","roles":[{{"role":"space-steward","spaces":["lab"]}},{{"role":"data-reader","spaces":["{reads}"]}}]}}"#
        )
    };
    let mut view = world(POLICY);
    put(&mut view, bound(&follows("elsewhere")));
    judged(&view).unwrap();
    // In the space itself, and in those that edges lead on to, also when the edge comes later.
    let mut own = world(POLICY);
    put(&mut own, bound(&follows("lab")));
    let mut later = view.clone();
    edge(&mut later, "lab", "middle");
    judged(&later).unwrap();
    edge(&mut later, "middle", "elsewhere");
    for (view, space) in [(own, "spaces/lab"), (later, "spaces/elsewhere")] {
        let refused = judged(&view).unwrap_err();
        for words in ["person/both: whoever follows people", space, "traced back"] {
            assert!(refused.message().contains(words), "{words}: {refused}");
        }
    }
}

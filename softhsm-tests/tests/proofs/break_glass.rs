//! What `break-glass.cedar` adds.

use crate::prover::Prover;
use crate::request::Found;
use crate::rules::{self, BREAK_GLASS, Rules, SHIPPED};
use cedar_policy::{Policy, PolicyId, PolicySet};

pub(crate) const SENTENCE: &str =
    "Turning break glass on lets people declare and end emergencies, and widens nothing else.";

/// All that it may add.
const ADDED: &str = r#"permit (
    principal is Kms::Person,
    action in [Kms::Action::"DeclareEmergency", Kms::Action::"EndEmergency"],
    resource
);"#;

#[test]
fn break_glass_widens_nothing_else() {
    let mut prover = Prover::start(rules::schema());
    let open = Rules::with_break_glass(&prover.schema);
    if let Some(found) = widens(&mut prover, &open) {
        panic!("{found}");
    }
}

#[test]
fn a_break_glass_that_widens_more_is_refuted() {
    let mut prover = Prover::start(rules::schema());
    for (from, to, does) in [
        ("principal is Kms::Person", "principal", "Kms::Service"),
        ("\"EndEmergency\"", "\"Restore\"", "\"Restore\""),
    ] {
        let text = BREAK_GLASS.replacen(from, to, 1);
        assert_ne!(text, BREAK_GLASS);
        let rules = Rules::read(&prover.schema, &format!("{SHIPPED}{text}")).unwrap();
        let found = widens(&mut prover, &rules).unwrap();
        println!("{found}");
        assert!(found.to_string().contains(does), "{found}");
        assert!(found.permitted_by(rules.set(), &prover.schema));
        let shipped = Rules::shipped(&prover.schema);
        assert!(!found.permitted_by(shipped.set(), &prover.schema));
    }
}

/// A request that these rules permit, and neither the shipped policy nor what may be added does.
fn widens(prover: &mut Prover, rules: &Rules) -> Option<Found> {
    let shipped = Rules::shipped(&prover.schema);
    let added = Policy::parse(Some(PolicyId::new("added")), ADDED).unwrap();
    let policies = shipped.set().policies().cloned().chain([added]);
    let bound = PolicySet::from_policies(policies).unwrap();
    prover.actions().iter().find_map(|action| {
        let sorts = prover.sorts(action);
        sorts
            .iter()
            .find_map(|sort| prover.beyond(rules.set(), &bound, sort))
    })
}

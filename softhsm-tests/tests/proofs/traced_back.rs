//! That nobody traces a pseudonym back: two requests, which no single proof speaks of. The solver
//! says which roles evaluate and which process; the rule of bindings refuses each such pair.

use crate::claim::Claim;
use crate::prover::Prover;
use crate::rules::{self, Rules};
use kms_core::binding::Binding;
use kms_core::role::Role;

pub(crate) const SENTENCE: &str = "Nobody both evaluates an edge and processes in its target space: who evaluates was granted \
     that edge (who-evaluates), who processes was granted that space (who-decrypts), and no \
     binding grants anybody both: it is refused when it is made. Whoever may follow a person \
     (ChainPerson, for which two others approve) processes in none of the spaces where that leads: \
     bindings, policy and graph are judged together, when any of them changes.";

/// Shows a pseudonym of an edge.
const EVALUATES: [&str; 2] = ["Pseudonymise", "Translate"];
/// Shows what was protected in a space.
const PROCESSES: [&str; 1] = ["Decrypt"];

#[test]
fn nobody_evaluates_an_edge_and_processes_in_its_target() {
    let mut prover = Prover::start(rules::schema());
    let evaluating = roles_that(&mut prover, &EVALUATES);
    let processing = roles_that(&mut prover, &PROCESSES);
    assert_eq!(evaluating, [Role::Pseudonymiser]);
    assert_eq!(processing, [Role::DataService, Role::DataReader]);

    let bind = |grants: &str| {
        let text = format!(r#"{{"principal":"service/etl","roles":[{grants}]}}"#);
        serde_json::from_str::<Binding>(&text).map_err(|e| e.to_string())
    };
    let edge = r#"{"role":"pseudonymiser","edges":["spaces/warehouse/edges/link"]}"#;
    for role in processing {
        let on = |space: &str| format!(r#"{{"role":"{role}","spaces":["{space}"]}}"#);
        let refused = bind(&format!("{edge},{}", on("warehouse"))).unwrap_err();
        assert!(refused.contains("traced back"), "{role}: {refused}");
        bind(&format!("{edge},{}", on("ingest-lyon"))).unwrap();
        // The deployment, which stands above the target space, is not granted either.
        bind(&on("*")).unwrap_err();
    }
}

/// The roles that, without any other, may do one of these.
fn roles_that(prover: &mut Prover, actions: &[&str]) -> Vec<Role> {
    let claims = Claim::all(&prover.schema);
    let shipped = Rules::shipped(&prover.schema);
    let mut may = |role: &Role| {
        let alone = claims.iter().find(|claim| claim.name == role.name());
        let alone = alone.and_then(|claim| claim.case.clone()).unwrap();
        actions.iter().any(|action| {
            let action = format!("Kms::Action::\"{action}\"").parse().unwrap();
            prover
                .sorts(&action)
                .iter()
                .any(|sort| prover.permitted(&shipped, &alone, sort).is_some())
        })
    };
    Role::ALL.into_iter().filter(|role| may(role)).collect()
}

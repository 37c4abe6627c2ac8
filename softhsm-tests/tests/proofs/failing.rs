//! That no policy is ever in error: Cedar skips one that is, and a forbid that is skipped forbids
//! nothing.

use crate::claim::Claim;
use crate::prover::Prover;
use crate::rules::{self, Rules, names};
use cedar_policy::Policy;

pub(crate) const SENTENCE: &str = "No policy and no claim is ever in error, whatever is asked: \
    none is skipped, and what a policy forbids stays forbidden.";

#[test]
fn no_policy_is_ever_in_error() {
    let mut prover = Prover::start(rules::schema());
    let open = Rules::with_break_glass(&prover.schema);
    let claims = Claim::all(&prover.schema);
    let claims = claims.iter().map(|claim| &claim.forbid);
    let policies: Vec<&Policy> = open.set().policies().chain(claims).collect();
    for action in prover.actions() {
        for sort in prover.sorts(&action) {
            for policy in policies.iter().filter(|p| names(p, &action)) {
                let never = prover.never_in_error(policy, &sort);
                assert!(never, "can be in error:\n{policy}");
            }
        }
    }
}

#[test]
fn a_policy_that_can_be_in_error_is_found() {
    let mut prover = Prover::start(rules::schema());
    for condition in [
        "context.approvals + 1 >= 2",
        r#"context.now.durationSince(context.now.offset(duration("1h"))) < duration("1h")"#,
    ] {
        let text = format!(
            r#"@id("a") forbid (principal, action == Kms::Action::"Decrypt", resource)
            unless {{ {condition} }};"#
        );
        let rules = Rules::read(&prover.schema, &text).unwrap();
        let policy = rules.set().policies().next().unwrap();
        let action = r#"Kms::Action::"Decrypt""#.parse().unwrap();
        for sort in prover.sorts(&action) {
            assert!(!prover.never_in_error(policy, &sort), "{condition}");
        }
    }
}

//! A claim that cannot be false says nothing: each forbids something that may be asked, and what
//! it leaves does happen.

use crate::claim::Claim;
use crate::prover::Prover;
use crate::request::Found;
use crate::rules::{self, Rules};
use cedar_policy::{EntityUid, Policy, PolicySet, RequestEnv, Schema};

#[test]
fn no_claim_is_vacuous() {
    let mut prover = Prover::start(rules::schema());
    let shipped = Rules::shipped(&prover.schema);
    let open = Rules::with_break_glass(&prover.schema);
    let mut known = Known::default();
    for claim in Claim::all(&prover.schema) {
        let rules = if claim.with_break_glass {
            &open
        } else {
            &shipped
        };
        if let Err(why) = alive(&mut known, &mut prover, rules, &claim) {
            panic!("{}: {why}", claim.name);
        }
    }
}

#[test]
fn a_vacuous_claim_is_found() {
    let mut prover = Prover::start(rules::schema());
    let shipped = Rules::shipped(&prover.schema);
    for (conditions, why) in [
        // Contradicts itself.
        (
            "when { context.approvals > 1 && context.approvals < 1 }",
            "forbids nothing of Kms::Action::\"Decrypt\"",
        ),
        // Leaves all.
        (
            "unless { context.emergency || !context.emergency }",
            "forbids nothing of Kms::Action::\"Decrypt\"",
        ),
        // Speaks of a case in which nothing is ever permitted.
        (
            "when { principal.dataReader.isEmpty() && principal.dataService.isEmpty() }
             unless { context.approvals > 1 }",
            "permits nothing of Kms::Action::\"Decrypt\"",
        ),
    ] {
        let text = format!(
            r#"@id("a") @claim("S.")
            forbid (principal, action == Kms::Action::"Decrypt", resource) {conditions};"#
        );
        let claim = Claim::read(&prover.schema, &text).unwrap().remove(0);
        let error = alive(&mut Known::default(), &mut prover, &shipped, &claim).unwrap_err();
        assert!(error.contains(why), "{error}");
    }
}

/// It forbids something of each action that it names, or of any if it names none. If it has an
/// `unless`, the policy permits something of each action that it names, or excepts, in the case
/// that it speaks of.
///
/// # Errors
/// For which action that is not so.
fn alive(
    known: &mut Known,
    prover: &mut Prover,
    rules: &Rules,
    claim: &Claim,
) -> Result<(), String> {
    for action in &claim.actions {
        if !known.forbids(prover, claim, action) {
            return Err(format!("forbids nothing of {action}"));
        }
    }
    let all = claim.actions.is_empty();
    if all
        && !prover
            .actions()
            .iter()
            .any(|action| known.forbids(prover, claim, action))
    {
        return Err("forbids nothing".to_owned());
    }
    let left = if all { &claim.excepts } else { &claim.actions };
    for (case, action) in claim
        .case
        .iter()
        .flat_map(|case| left.iter().map(move |a| (case, a)))
    {
        if !known.permits(prover, rules, case, action) {
            return Err(format!(
                "in its case, the policy permits nothing of {action}"
            ));
        }
    }
    Ok(())
}

/// Requests that were found, to be tried before the solver is asked for another.
#[derive(Default)]
struct Known(Vec<Found>);

impl Known {
    /// Whether there is a request that the claim forbids: one that would refute it, were it
    /// permitted.
    fn forbids(&mut self, prover: &mut Prover, claim: &Claim, action: &EntityUid) -> bool {
        self.any(
            prover,
            action,
            |found, schema| !found.refutes(&[claim], schema).is_empty(),
            |prover, sort| prover.forbidden(claim, sort),
        )
    }

    /// Whether the rules permit something in the case that the claim speaks of.
    fn permits(
        &mut self,
        prover: &mut Prover,
        rules: &Rules,
        case: &Policy,
        action: &EntityUid,
    ) -> bool {
        let in_case = PolicySet::from_policies([case.clone()]).unwrap();
        self.any(
            prover,
            action,
            |found, schema| {
                found.permitted_by(&in_case, schema) && found.permitted_by(rules.set(), schema)
            },
            |prover, sort| prover.permitted(rules, case, sort),
        )
    }

    /// Whether a request about this action is such. The ordinary authorizer has the last word.
    fn any(
        &mut self,
        prover: &mut Prover,
        action: &EntityUid,
        is: impl Fn(&Found, &Schema) -> bool,
        ask: impl Fn(&mut Prover, &RequestEnv) -> Option<Found>,
    ) -> bool {
        let mut known = self.0.iter().filter(|found| found.action() == action);
        if known.any(|found| is(found, &prover.schema)) {
            return true;
        }
        let sorts = prover.sorts(action);
        let found = sorts.iter().find_map(|sort| ask(prover, sort));
        found.is_some_and(|found| {
            assert!(is(&found, &prover.schema), "{found}");
            self.0.push(found);
            true
        })
    }
}

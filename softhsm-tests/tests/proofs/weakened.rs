//! Policies that somebody might write: each is weaker than what is shipped in one place, and is
//! refuted with a request that the ordinary authorizer permits.

use crate::claim::Claim;
use crate::prover::Prover;
use crate::request::Found;
use crate::rules::{self, Rules, SHIPPED, names};
use cedar_policy::{Effect, Policy, PolicyId};
use serde_json::{Value, json};

/// One change to one policy, and the claims that it makes untrue.
struct Weakening {
    does: &'static str,
    policy: &'static str,
    from: &'static str,
    to: &'static str,
    refutes: &'static [&'static str],
}

const WEAKENINGS: &[Weakening] = &[
    Weakening {
        does: "one other is enough to destroy",
        policy: "two-approvals",
        from: "context.approvals >= 2",
        to: "context.approvals >= 1",
        refutes: &["two-others"],
    },
    Weakening {
        does: "an emergency spares destruction an approval",
        policy: "two-approvals",
        from: "context.approvals >= 2",
        to: "context.approvals >= 2 || (context.emergency && context.approvals >= 1)",
        refutes: &["two-others"],
    },
    Weakening {
        does: "in an emergency bindings are changed alone",
        policy: "two-approvals-less-in-an-emergency",
        from: "(context.emergency && context.approvals >= 1)",
        to: "context.emergency",
        refutes: &["two-others-or-one-in-an-emergency"],
    },
    Weakening {
        does: "production is taken for development, and development for production",
        policy: "one-approval",
        from: "context.environment == \"development\"",
        to: "context.environment != \"development\"",
        refutes: &["one-other"],
    },
    Weakening {
        does: "whatever is not called production needs nobody",
        policy: "one-approval-less-in-an-emergency",
        from: "context.environment == \"development\"",
        to: "context.environment != \"production\"",
        refutes: &["one-other-or-an-emergency"],
    },
    Weakening {
        does: "a day is enough to wait for destruction",
        policy: "waiting-period",
        from: "duration(\"7d\")",
        to: "duration(\"1d\")",
        refutes: &["seven-days"],
    },
    Weakening {
        does: "one partner may wrap with SHA-1, in two steps too",
        policy: "weaker-wrapping",
        from: "context.environment == \"development\"",
        to: "context.environment == \"development\" || (context has partner && context.partner == \"hcl\")",
        refutes: &["sound-wrapping"],
    },
    Weakening {
        does: "what is due is destroyed on the word of one clock",
        policy: "one-approval-to-destroy",
        from: "context.approvals >= 1",
        to: "context.approvals >= 0",
        refutes: &["one-other-to-destroy"],
    },
    Weakening {
        does: "the service itself declares versions compromised",
        policy: "scheduler",
        from: "Kms::Action::\"RotateKey\"",
        to: "Kms::Action::\"CompromiseVersion\"",
        refutes: &["scheduler", "who-compromises"],
    },
    Weakening {
        does: "a sign-in lasts a working day",
        policy: "strong-authentication",
        from: "<= duration(\"1h\")",
        to: "<= duration(\"8h\")",
        refutes: &["signed-in"],
    },
    Weakening {
        does: "a sign-in that is still to come is fresh",
        policy: "strong-authentication",
        from: "&&\n  context.now.durationSince(context.authenticated) >= duration(\"-5m\")",
        to: "",
        refutes: &["signed-in"],
    },
    Weakening {
        does: "a password alone is a sign-in",
        policy: "strong-authentication",
        from: "context.strong && ",
        to: "",
        refutes: &["signed-in"],
    },
    Weakening {
        does: "a study never ends",
        policy: "purpose",
        from: "&&\n  resource has purposeEnds && context.now < resource.purposeEnds",
        to: "",
        refutes: &["purpose", "purpose-re-encrypted"],
    },
    Weakening {
        does: "any study will do",
        policy: "purpose",
        from: "context.purpose == resource.purpose &&",
        to: "",
        refutes: &["purpose"],
    },
    Weakening {
        does: "a data-reader encrypts",
        policy: "data-reader",
        from: "action == Kms::Action::\"Decrypt\"",
        to: "action in [Kms::Action::\"Decrypt\", Kms::Action::\"Encrypt\"]",
        refutes: &["data-reader", "who-encrypts"],
    },
    Weakening {
        does: "a data-reader reads in every space",
        policy: "data-reader",
        from: "resource in principal.dataReader",
        to: "!principal.dataReader.isEmpty()",
        refutes: &["who-decrypts", "spaces-apart"],
    },
    Weakening {
        does: "a data-service uses keys of every class",
        policy: "data-service",
        from: " && resource.class == \"data-at-rest\"",
        to: "",
        refutes: &["data-at-rest"],
    },
    Weakening {
        does: "an operator re-encrypts with keys of every class",
        policy: "key-operator",
        from: "(resource is Kms::Key && resource.class == \"data-at-rest\")",
        to: "resource is Kms::Key",
        refutes: &["data-at-rest"],
    },
    Weakening {
        does: "whoever re-encrypts needs no purpose",
        policy: "purpose",
        from: "&& resource in principal.keyOperator",
        to: "",
        refutes: &["purpose-re-encrypted"],
    },
    Weakening {
        does: "an ingest-service decrypts what it brought in",
        policy: "ingest-service",
        from: "Kms::Action::\"Encrypt\"",
        to: "Kms::Action::\"Encrypt\", Kms::Action::\"Decrypt\"",
        refutes: &["ingest-service", "who-decrypts"],
    },
    Weakening {
        does: "a pseudonymiser of one edge evaluates all",
        policy: "pseudonymiser",
        from: "resource in principal.pseudonymiser",
        to: "!principal.pseudonymiser.isEmpty()",
        refutes: &["who-evaluates", "spaces-apart"],
    },
    Weakening {
        does: "a pseudonymiser translates whenever it likes",
        policy: "translator",
        from: " && resource.translators.contains(principal)",
        to: "",
        refutes: &["who-translates", "who-reads-the-inventory"],
    },
    Weakening {
        does: "whoever is bound to a campaign translates, without a role",
        policy: "translator",
        from: "resource in principal.pseudonymiser && ",
        to: "",
        refutes: &["who-translates", "spaces-apart"],
    },
    Weakening {
        does: "a pseudonymiser has data keys of its edge's keys at any time",
        policy: "translator-seals",
        from: " && resource.translators.contains(principal)",
        to: "",
        refutes: &["who-encrypts"],
    },
    Weakening {
        does: "a steward rotates",
        policy: "space-steward",
        from: "Kms::Action::\"UpdateKey\"",
        to: "Kms::Action::\"UpdateKey\", Kms::Action::\"RotateKey\"",
        refutes: &["space-steward", "who-rotates"],
    },
    Weakening {
        does: "an operator decrypts",
        policy: "key-operator",
        from: "Kms::Action::\"ReEncrypt\",",
        to: "Kms::Action::\"ReEncrypt\", Kms::Action::\"Decrypt\",",
        refutes: &[
            "key-operator",
            "who-decrypts",
            "no-data-without-a-data-role",
            "data-at-rest",
        ],
    },
    Weakening {
        does: "a custodian proposes",
        policy: "key-custodian",
        from: "Kms::Action::\"Approve\"",
        to: "Kms::Action::\"Approve\", Kms::Action::\"Propose\"",
        refutes: &["key-custodian", "who-proposes"],
    },
    Weakening {
        does: "a service approves",
        policy: "key-custodian",
        from: "principal is Kms::Person",
        to: "principal",
        refutes: &["people-approve", "who-approves"],
    },
    Weakening {
        does: "an officer approves",
        policy: "hsm-officer",
        from: "Kms::Action::\"ReadHsm\"",
        to: "Kms::Action::\"ReadHsm\", Kms::Action::\"Approve\"",
        refutes: &["hsm-officer", "who-approves"],
    },
    Weakening {
        does: "an auditor prunes",
        policy: "auditor",
        from: "Kms::Action::\"ReadAudit\"",
        to: "Kms::Action::\"ReadAudit\", Kms::Action::\"PruneUses\"",
        refutes: &["auditor", "who-rules"],
    },
    Weakening {
        does: "whoever has a certificate is told what this is",
        policy: "deployment",
        from: "when { principal.bound }",
        to: "",
        refutes: &["nobody", "who-asks-what-this-is"],
    },
];

#[test]
fn each_weakened_policy_is_refuted() {
    let mut prover = Prover::start(rules::schema());
    let claims = Claim::all(&prover.schema);
    for weakening in WEAKENINGS {
        let rules = Rules::read(&prover.schema, &weakening.apply()).unwrap();
        for name in weakening.refutes {
            let claim = claims.iter().find(|claim| claim.name == *name).unwrap();
            let found = refute(&mut prover, &rules, weakening.policy, claim)
                .unwrap_or_else(|| panic!("{}: {name} is still true", weakening.does));
            println!("{}, and {name} is not true:\n{found}", weakening.does);
            is_real(&prover, &found, &rules, claim);
        }
    }
}

/// Each forbid is needed for each action that it names.
#[test]
fn no_action_can_be_left_out_of_a_forbid() {
    let mut prover = Prover::start(rules::schema());
    let claims = Claim::all(&prover.schema);
    let claims: Vec<&Claim> = claims.iter().filter(|c| c.with_break_glass).collect();
    let open = Rules::with_break_glass(&prover.schema);
    let forbids: Vec<&Policy> = open
        .set()
        .policies()
        .filter(|p| p.effect() == Effect::Forbid)
        .collect();
    assert!(!forbids.is_empty());
    for left_out in forbids {
        let others = open.set().policies().filter(|p| p.id() != left_out.id());
        let rules = Rules::of(&prover.schema, others.cloned()).unwrap();
        for action in prover.actions().iter().filter(|a| names(left_out, a)) {
            let sorts = prover.sorts(action);
            let found = sorts
                .iter()
                .find_map(|sort| prover.refute(&rules, &claims, sort));
            let found = found.unwrap_or_else(|| panic!("{} need not name {action}", left_out.id()));
            assert!(found.permitted_by(rules.set(), &prover.schema), "{found}");
            assert_ne!(found.refutes(&claims, &prover.schema), [""; 0], "{found}");
        }
    }
}

/// Each permit that has a condition needs it.
#[test]
fn no_condition_of_a_permit_can_be_left_out() {
    let mut prover = Prover::start(rules::schema());
    let claims = Claim::all(&prover.schema);
    let claims: Vec<&Claim> = claims.iter().filter(|c| c.with_break_glass).collect();
    let open = Rules::with_break_glass(&prover.schema);
    let permits: Vec<&Policy> = open
        .set()
        .policies()
        .filter(|p| p.effect() == Effect::Permit && **p != unconditional(p))
        .collect();
    assert!(!permits.is_empty());
    for permit in permits {
        let policies = open.set().policies().map(|policy| match policy == permit {
            true => unconditional(policy),
            false => policy.clone(),
        });
        let rules = Rules::of(&prover.schema, policies).unwrap();
        for action in prover.actions().iter().filter(|a| names(permit, a)) {
            let sorts = prover.sorts(action);
            let found = sorts
                .iter()
                .find_map(|sort| prover.refute(&rules, &claims, sort));
            let found = found.unwrap_or_else(|| panic!("{} permits all to {action}", permit.id()));
            assert!(found.permitted_by(rules.set(), &prover.schema), "{found}");
            assert_ne!(found.refutes(&claims, &prover.schema), [""; 0], "{found}");
        }
    }
}

impl Weakening {
    /// The shipped policy, changed where it says.
    fn apply(&self) -> String {
        let start = SHIPPED.find(&format!("@id(\"{}\")", self.policy)).unwrap();
        let (before, policy) = SHIPPED.split_at(start);
        let end = policy.find("\n@id(").unwrap_or(policy.len());
        let (policy, after) = policy.split_at(end);
        assert_eq!(policy.matches(self.from).count(), 1, "{}", self.does);
        let changed = policy.replacen(self.from, self.to, 1);
        assert_ne!(policy, changed, "{}", self.does);
        format!("{before}{changed}{after}")
    }
}

/// A request that the rules permit, by what was changed in one policy, and the claim forbids.
fn refute(prover: &mut Prover, rules: &Rules, changed: &str, claim: &Claim) -> Option<Found> {
    let changed = rules.set().policy(&PolicyId::new(changed)).unwrap();
    let actions = prover.actions();
    let mut sorts = actions
        .iter()
        .filter(|action| names(changed, action))
        .flat_map(|action| prover.sorts(action))
        .collect::<Vec<_>>()
        .into_iter();
    sorts.find_map(|sort| prover.refute(rules, &[claim], &sort))
}

/// The ordinary authorizer says the same: these rules permit it, what is shipped does not, and the
/// claim forbids it.
fn is_real(prover: &Prover, found: &Found, rules: &Rules, claim: &Claim) {
    let shipped = Rules::shipped(&prover.schema);
    assert!(found.permitted_by(rules.set(), &prover.schema), "{found}");
    assert!(
        !found.permitted_by(shipped.set(), &prover.schema),
        "{found}"
    );
    let refuted = found.refutes(&[claim], &prover.schema);
    assert_eq!(refuted, [claim.name.as_str()], "{found}");
}

fn unconditional(permit: &Policy) -> Policy {
    let mut json: Value = permit.to_json().unwrap();
    json["conditions"] = json!([]);
    Policy::from_json(Some(permit.id().clone()), json).unwrap()
}

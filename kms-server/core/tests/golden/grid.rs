//! Role x action x class, as the policy that is shipped answers.

use crate::sample::{NOW, POLICY, binding};
use kms_core::action::Action;
use kms_core::binding::Binding;
use kms_core::caller::Principal;
use kms_core::class::Class;
use kms_core::deployment::Environment;
use kms_core::key::Destruction;
use kms_core::policy::{Circumstances, Judge, Policy, Question, Target, Traits};
use kms_core::role::{Role, Scope};
use kms_core::space::SpaceKind;
use std::fmt::Write;

/// What a role may do with an action in this space: a letter for each sort of thing.
fn cell(principal: &str, who: Who, action: Action, space: &str) -> String {
    let bound = match who {
        Who::Bound(role, Reach::Own) => Some(binding(principal, &[role]).unwrap()),
        Who::Bound(role, Reach::All) => Some(everywhere(principal, role)),
        Who::Scheduler => None,
    };
    let principal = match &bound {
        Some(bound) => bound.principal().clone(),
        None => Principal::scheduler().unwrap(),
    };
    let space_name = format!("spaces/{space}").parse().unwrap();
    let domain = "domains/link".parse().unwrap();
    let edge = format!("spaces/{space}/edges/link").parse().unwrap();
    let key = format!("spaces/{space}/keys/some").parse().unwrap();
    let translators = ["service/s".parse().unwrap()];
    let campaign = Traits {
        translators: &translators,
        ..Traits::default()
    };
    let table = Traits {
        seals: Some(&edge),
        ..campaign
    };
    let targets = [
        ('*', Target::Deployment),
        ('s', Target::Space(&space_name, SpaceKind::Project)),
        ('d', Target::Domain(&domain)),
        ('e', Target::Edge(&edge, Traits::default())),
        ('D', Target::Key(&key, Class::DataAtRest, Traits::default())),
        (
            'W',
            Target::Key(&key, Class::ImportWrapping, Traits::default()),
        ),
        (
            'P',
            Target::Key(&key, Class::Pseudonymisation, Traits::default()),
        ),
        ('r', Target::Edge(&edge, campaign)),
        ('t', Target::Key(&key, Class::DataAtRest, table)),
    ];
    let allowed = |target, approvals| {
        let question = Question {
            principal: &principal,
            binding: bound.as_ref(),
            action,
            target,
            circumstances: circumstances(approvals),
        };
        // An action that does not apply to a sort of thing is no question.
        POLICY.answer(&question).is_ok_and(|answer| answer.allowed)
    };
    let enough = action.approvals();
    let letters: String = targets
        .into_iter()
        .filter(|(_, target)| {
            // The policy wants exactly what the table of actions says.
            let one_less = enough
                .checked_sub(1)
                .is_some_and(|less| allowed(*target, less));
            // A pair for imports goes by itself once its last import token has expired.
            let pair = action == Action::DestroyVersion
                && matches!(target, Target::Key(_, Class::ImportWrapping, _));
            assert_eq!(
                one_less,
                pair && who == Who::Scheduler,
                "{action}: fewer than {enough}"
            );
            allowed(*target, enough)
        })
        .map(|(letter, _)| letter)
        .collect();
    // Told only where the campaign makes the difference.
    let more = |letter: char, than: char| letters.contains(than).then_some(letter);
    let same = [more('r', 'e'), more('t', 'D')];
    letters
        .chars()
        .filter(|l| !same.contains(&Some(*l)))
        .collect()
}

/// Nothing in particular, in production.
fn circumstances(approvals: u8) -> Circumstances<'static> {
    Circumstances {
        environment: Environment::Production,
        approvals,
        emergency: false,
        now: NOW,
        source: None,
        purpose: None,
        provider: false,
        authenticated: None,
        strong: false,
        proposed: None,
        waiting: Some(Destruction::WAITING),
        intake: None,
    }
}

/// What a role is granted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// Its own space or edge, or the deployment where it can be granted on nothing less.
    Own,
    /// Every space.
    All,
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    /// Somebody with this role.
    Bound(Role, Reach),
    /// The service's own clockwork.
    Scheduler,
}

/// The columns: each role, and the one that may be granted on all spaces, granted so; then the
/// service itself.
fn columns() -> Vec<(String, Who)> {
    let mut columns = Vec::new();
    for role in Role::ALL {
        columns.push((role.name().to_owned(), Who::Bound(role, Reach::Own)));
        match role.scope() {
            Scope::SpacesOrAll => {
                columns.push((format!("{role} *"), Who::Bound(role, Reach::All)));
            }
            Scope::Spaces | Scope::Edges | Scope::Deployment => {}
        }
    }
    columns.push(("(scheduler)".into(), Who::Scheduler));
    columns
}

fn everywhere(principal: &str, role: Role) -> Binding {
    let json =
        format!(r#"{{"principal":"{principal}","roles":[{{"role":"{role}","spaces":["*"]}}]}}"#);
    serde_json::from_str(&json).unwrap()
}

/// The principals that roles are meant for; a few policies tell them apart.
const SORTS: [&str; 2] = ["person/p", "service/s"];

#[test]
fn role_action_class() {
    let mut out = String::from(
        "What each role may ask in its own space; a role with a star is granted on all spaces.\n\
         As the policy in ops/policy answers.\n\
         On: * the deployment, s its space, d a domain, e its edge; keys of the space of class\n\
         D data-at-rest, W import-wrapping, P pseudonymisation. -: refused.\n\
         Only while a renewal campaign binds the one who asks: r its edge, t the key that seals\n\
         its translation tables.\n\
         +n: approvals by key-custodians beside the one who asks.\n\n",
    );
    write!(out, "{:<36}", "action").unwrap();
    for (column, _) in columns() {
        write!(out, "{column:<17}").unwrap();
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    let mut nobody = Vec::new();
    for action in Action::ALL {
        let mut name = action.name().to_owned();
        if action.approvals() > 0 {
            write!(name, " +{}", action.approvals()).unwrap();
        }
        write!(out, "{name:<36}").unwrap();
        let mut anybody = false;
        for (column, bound) in columns() {
            let [person, service] = SORTS.map(|p| cell(p, bound, *action, "lab"));
            let text = match (person.as_str(), service.as_str()) {
                ("", "") => "-".to_owned(),
                (one, other) if one == other => one.to_owned(),
                ("", service) => format!("{service} (service)"),
                (person, "") => format!("{person} (person)"),
                (one, other) => panic!("{action}, {column}: {one} and {other}"),
            };
            anybody |= text != "-";
            write!(out, "{text:<17}").unwrap();
        }
        out.truncate(out.trim_end().len());
        out.push('\n');
        if !anybody {
            nobody.push(*action);
        }
    }
    // Whoever holds the machine founds a deployment and rebuilds its store; nobody asks it over a
    // connection. Nobody breaks
    // the glass, unless the policy is given the lines that allow it.
    assert_eq!(
        nobody,
        [
            Action::Initialise,
            Action::DeclareEmergency,
            Action::Rebuild
        ],
        "an action that nobody may ask"
    );
    insta::assert_snapshot!(out);
}

/// In another space than its own, a role that is granted on spaces or edges has nothing; what is
/// shown is what the others have everywhere.
#[test]
fn elsewhere() {
    let mut out = String::from(
        "What each role may ask in a space that is not its own: letters as in the other grid.\n\n",
    );
    for (column, bound) in columns() {
        let mut may = Vec::new();
        for action in Action::ALL {
            let reach: String = SORTS
                .iter()
                .map(|p| cell(p, bound, *action, "elsewhere"))
                .max()
                .unwrap()
                .chars()
                .filter(|letter| !matches!(letter, '*' | 'd'))
                .collect();
            if !reach.is_empty() {
                may.push(format!("{action} ({reach})"));
            }
        }
        let may = if may.is_empty() {
            "nothing".to_owned()
        } else {
            may.join(", ")
        };
        writeln!(out, "{column:<17} {may}").unwrap();
    }
    insta::assert_snapshot!(out);
}

/// Whatever needs approvals has somebody who may ask it, and somebody else who may approve it; and
/// so has an emergency, once the policy has the lines that allow it.
#[test]
fn whatever_needs_approvals_can_be_had() {
    let glass = include_str!("../../../../ops/policy/break-glass.cedar");
    let policy = format!(
        "{}{glass}",
        include_str!("../../../../ops/policy/policy.cedar")
    );
    let schema = include_str!("../../../../ops/policy/schema.cedarschema");
    let policy = Policy::parse(schema, &policy).unwrap();
    let space = "spaces/lab".parse().unwrap();
    let edge = "spaces/lab/edges/link".parse().unwrap();
    let key = "spaces/lab/keys/some".parse().unwrap();
    let targets = [
        Target::Deployment,
        Target::Space(&space, SpaceKind::Project),
        Target::Edge(&edge, Traits::default()),
        Target::Key(&key, Class::DataAtRest, Traits::default()),
    ];
    let may = |role: Role, action, target, approvals, proposed| {
        let bound = binding("person/p", &[role]).unwrap();
        let question = Question {
            principal: bound.principal(),
            binding: Some(&bound),
            action,
            target,
            circumstances: Circumstances {
                proposed,
                ..circumstances(approvals)
            },
        };
        policy.answer(&question).is_ok_and(|answer| answer.allowed)
    };
    let mut seen = 0;
    for action in Action::ALL.iter().copied().filter(|a| a.approvals() > 0) {
        let had = targets.iter().any(|target| {
            let ask = |role: &Role| {
                may(*role, action, *target, action.approvals(), None)
                    && may(*role, Action::Propose, *target, 0, None)
            };
            let approve = |role: &Role| {
                let may_approve = may(*role, Action::Approve, *target, 0, Some(action));
                assert!(
                    !may_approve || !may(*role, action, *target, u8::MAX, None),
                    "{role} asks and approves {action}"
                );
                may_approve
            };
            let itself = || {
                let scheduler = Principal::scheduler().unwrap();
                let asks = |action, approvals| {
                    let question = Question {
                        principal: &scheduler,
                        binding: None,
                        action,
                        target: *target,
                        circumstances: circumstances(approvals),
                    };
                    policy.answer(&question).is_ok_and(|answer| answer.allowed)
                };
                asks(action, action.approvals()) && asks(Action::Propose, 0)
            };
            let asked = Role::ALL.iter().any(ask) || itself();
            asked && Role::ALL.iter().any(approve)
        });
        assert!(had, "{action} can be asked or approved by nobody");
        seen += 1;
    }
    assert_eq!(seen, 22, "the table of actions names other actions now");
}

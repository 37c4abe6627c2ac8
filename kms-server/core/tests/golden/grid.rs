//! Role x action x class, as the policy that is shipped answers.

use crate::sample::{POLICY, binding};
use kms_core::action::Action;
use kms_core::class::Class;
use kms_core::deployment::Environment;
use kms_core::policy::{Question, Target};
use kms_core::role::Role;
use kms_core::space::SpaceKind;
use std::fmt::Write;

/// What a role may do with an action in this space: a letter for each sort of thing.
fn cell(principal: &str, role: Role, action: Action, space: &str) -> String {
    let bound = binding(principal, &[role]).unwrap();
    let space_name = format!("spaces/{space}").parse().unwrap();
    let domain = "domains/link".parse().unwrap();
    let edge = format!("spaces/{space}/edges/link").parse().unwrap();
    let key = format!("spaces/{space}/keys/some").parse().unwrap();
    let targets = [
        ('*', Target::Deployment),
        ('s', Target::Space(&space_name, SpaceKind::Project)),
        ('d', Target::Domain(&domain)),
        ('e', Target::Edge(&edge)),
        ('D', Target::Key(&key, Class::DataAtRest)),
        ('W', Target::Key(&key, Class::ImportWrapping)),
        ('P', Target::Key(&key, Class::Pseudonymisation)),
    ];
    targets
        .into_iter()
        .filter(|(_, target)| {
            let question = Question {
                principal: bound.principal(),
                binding: Some(&bound),
                action,
                target: *target,
                environment: Environment::Production,
            };
            // An action that does not apply to a sort of thing is no question.
            POLICY.allows(&question).ok().flatten().is_some()
        })
        .map(|(letter, _)| letter)
        .collect()
}

/// The principals that roles are meant for; a few policies tell them apart.
const SORTS: [&str; 2] = ["person/p", "service/s"];

#[test]
fn role_action_class() {
    let mut out = String::from(
        "What each role may ask, in its own space (the policy in ops/policy).\n\
         On: * the deployment, s its space, d a domain, e its edge; keys of the space of class\n\
         D data-at-rest, W import-wrapping, P pseudonymisation. -: refused.\n\
         +n: approvals by key-custodians beside the one who asks.\n\n",
    );
    write!(out, "{:<36}", "action").unwrap();
    for role in Role::ALL {
        write!(out, "{:<16}", role.name()).unwrap();
    }
    out.push('\n');
    let mut nobody = Vec::new();
    for action in Action::ALL {
        let mut name = action.name().to_owned();
        if action.approvals() > 0 {
            write!(name, " +{}", action.approvals()).unwrap();
        }
        write!(out, "{name:<36}").unwrap();
        let mut anybody = false;
        for role in Role::ALL {
            let [person, service] = SORTS.map(|p| cell(p, role, *action, "lab"));
            let text = match (person.as_str(), service.as_str()) {
                ("", "") => "-".to_owned(),
                (one, other) if one == other => one.to_owned(),
                ("", service) => format!("{service} (service)"),
                (person, "") => format!("{person} (person)"),
                (one, other) => panic!("{action}, {role}: {one} and {other}"),
            };
            anybody |= text != "-";
            write!(out, "{text:<16}").unwrap();
        }
        out.truncate(out.trim_end().len());
        out.push('\n');
        if !anybody {
            nobody.push(*action);
        }
    }
    // Whoever holds the machine founds a deployment; nobody asks it over a connection.
    assert_eq!(
        nobody,
        [Action::Initialise],
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
    for role in Role::ALL {
        let mut may = Vec::new();
        for action in Action::ALL {
            let reach: String = SORTS
                .iter()
                .map(|p| cell(p, role, *action, "elsewhere"))
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
        writeln!(out, "{:<16} {may}", role.name()).unwrap();
    }
    insta::assert_snapshot!(out);
}

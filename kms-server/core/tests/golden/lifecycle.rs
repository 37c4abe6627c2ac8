//! Class x action x state, the transitions, and which actions need approvals.

use kms_core::action::{Action, Effect};
use kms_core::class::Class;
use kms_core::state::{State, Use};
use std::collections::BTreeSet;
use std::fmt::Write;

fn effect(action: Action) -> &'static str {
    match action.effect() {
        Effect::Makes => "makes",
        Effect::Moves => "moves",
        Effect::Protects => "protects",
        Effect::Processes => "processes",
        Effect::Reads => "reads",
    }
}

fn states(first: &str) -> String {
    let names = State::ALL.map(|state| format!("{:<12}", state.name()));
    format!("{first:<46}{}\n", names.concat())
        .trim_end()
        .to_owned()
        + "\n"
}

fn row(first: &str, cell: impl Fn(State) -> String) -> String {
    let cells = State::ALL.map(|state| format!("{:<12}", cell(state)));
    format!("{first:<46}{}", cells.concat())
        .trim_end()
        .to_owned()
        + "\n"
}

fn use_in(usage: Use, state: State) -> String {
    match (state.allows(usage, false), state.allows(usage, true)) {
        (true, true) => "yes".into(),
        (false, true) => "if kept".into(),
        (false, false) => "-".into(),
        (true, false) => panic!("{state}: a suspension that keeps processing allows less"),
    }
}

#[test]
fn class_action_state() {
    let mut out = String::from(
        "Which use of a key is allowed in which state of its version.\n\
         yes: allowed. -: refused. if kept: while suspended, only if the suspension says that\n\
         processing may go on. An action that is not in a class's list is refused in every state.\n",
    );
    for class in Class::ALL {
        let leaves = if class.exportable() {
            "may be declared exportable"
        } else {
            "never leaves the HSM"
        };
        let comes = if class.importable() {
            "may come from outside"
        } else {
            "is generated in the HSM"
        };
        write!(out, "\n{class}: {}; {comes}; {leaves}\n", class.algorithm()).unwrap();
        match class.rotation_refusal() {
            None => out.push_str("  rotation: makes a new primary version\n"),
            Some(why) => writeln!(out, "  rotation: REFUSED: {why}").unwrap(),
        }
        if class.uses().is_empty() {
            out.push_str("  no use is offered to callers\n");
            continue;
        }
        out.push_str(&states("  use"));
        for action in class.uses() {
            let usage = action.usage().unwrap();
            let verb = match usage {
                Use::Protect => "protects",
                Use::Process => "processes",
            };
            let first = format!("  {action:<36} {verb}");
            out.push_str(&row(&first, |state| use_in(usage, state)));
        }
    }
    insta::assert_snapshot!(out);
}

#[test]
fn a_use_belongs_to_one_class() {
    let mut seen = BTreeSet::new();
    for class in Class::ALL {
        for action in class.uses() {
            // Two classes unwrap what comes in: no mechanism is one of both.
            let first = class != Class::ServiceExchange;
            assert!(
                seen.insert(*action) || !first,
                "{action} is a use of two classes"
            );
            assert!(action.usage().is_some(), "{action} uses nothing");
        }
    }
}

#[test]
fn transitions() {
    let mut out = String::from("From (left) to (above). What is not said cannot be done.\n\n");
    out.push_str(&states("from"));
    for from in State::ALL {
        out.push_str(&row(from.name(), |to| {
            if from.may_become(to) { "yes" } else { "-" }.into()
        }));
    }
    out.push_str("\nWhere each action leads a version that is in the state above.\n\n");
    out.push_str(&states("action"));
    for action in Action::ALL {
        let Some(to) = action.destination() else {
            continue;
        };
        out.push_str(&row(action.name(), |from| {
            if action.moves_from(from) {
                to.name()
            } else {
                "-"
            }
            .into()
        }));
    }
    insta::assert_snapshot!(out);
}

#[test]
fn actions_and_approvals() {
    let mut out = String::from(
        "Every action, its effect, and how many key-custodians must agree beside the one who asks.\n\n",
    );
    for action in Action::ALL {
        let approvals = match action.approvals() {
            0 => "-".to_owned(),
            more => format!("+{more}"),
        };
        writeln!(
            out,
            "{:<34} {:<10} {approvals}",
            action.name(),
            effect(*action)
        )
        .unwrap();
    }
    insta::assert_snapshot!(out);
}

//! Renewal campaigns, as they are judged and planned: what may be translated, what cannot be had by
//! another way, and what has to be renewed afterwards.

use crate::sample::{NOW, bench, binding, caller, deployment, ground, key, learned, put};
use kms_core::action::Action;
use kms_core::class::Class;
use kms_core::command::{Change, Command, Passage, Use};
use kms_core::decide::{Verdict, decide};
use kms_core::deployment::Environment;
use kms_core::error::{Error, Kind, Result};
use kms_core::id::{KeyId, KeyUid};
use kms_core::key::Moved;
use kms_core::lifecycle::{Spent, Uses};
use kms_core::name::{EdgeName, KeyName, VersionName};
use kms_core::plan::{Act, Ground, plan};
use kms_core::pseudonym::Identifier;
use kms_core::renewal::{Mode, stages, to_renew};
use kms_core::role::Role;
use kms_core::space::{Domain, Edge, InputType, Space, SpaceKind};
use kms_core::state::State;
use kms_core::time::Time;
use kms_core::value::Value;
use kms_core::view::View;
use std::fmt::Write;
use zeroize::Zeroizing;

/// So many were translated.
#[derive(Debug)]
struct Translated(u64);

impl Uses for Translated {
    fn last(&self, _version: &VersionName) -> Option<Time> {
        None
    }

    fn processed(&self, _version: &VersionName) -> u64 {
        self.0
    }

    fn spent(&self, _id: &KeyId) -> Spent {
        Spent::default()
    }
}

fn edge() -> EdgeName {
    "spaces/lab/edges/link".parse().unwrap()
}

fn edge_key() -> KeyName {
    "spaces/lab/keys/edge-link".parse().unwrap()
}

/// A development deployment: nobody has to approve. `p` operates keys, `s` is bound to the edge.
fn world(first: State) -> View {
    let mut view = deployment(Environment::Development);
    key(
        &mut view,
        &edge_key(),
        Class::Pseudonymisation,
        &[(first, true)],
    );
    let bindings = [
        binding("person/p", &[Role::KeyOperator]),
        binding("service/s", &[Role::Pseudonymiser]),
        binding("service/t", &[Role::Pseudonymiser]),
    ];
    for bound in bindings {
        put(&mut view, Value::Binding(bound.unwrap()));
    }
    view
}

/// Decides and plans; what was planned is there, at once.
fn done(view: &mut View, who: &str, change: &Change) -> Result<Act> {
    let asker = caller(who);
    let fresh = KeyUid([u8::try_from(view.revision().0).unwrap(); 16]);
    let permit = decide(bench(view, fresh), &asker, &Command::Change(change.clone()))
        .and_then(Verdict::permit)?;
    let uses = Translated(50);
    let planned = plan(
        Ground {
            uses: &uses,
            ..ground(view, &asker, fresh)
        },
        change,
    )?;
    let reached = planned.act.touches();
    assert!(
        reached.iter().all(|id| permit.covers(id)),
        "{change:?} reaches what was not permitted"
    );
    let made: Vec<_> = (1..).map(learned).take(planned.act.makes().len()).collect();
    for value in planned.values(&made) {
        put(view, value);
    }
    Ok(planned.act)
}

fn start(mode: Mode) -> Change {
    Change::StartRenewal {
        name: edge(),
        etag: None,
        mode,
        translators: vec!["service/s".parse().unwrap()],
        expected: 1_000_000,
        lasting: 60_000,
        reason: "a test".into(),
    }
}

fn verify(rows: u64, sampled: u64) -> Change {
    Change::VerifyRenewal {
        name: edge(),
        etag: None,
        rows,
        sampled,
    }
}

fn cutover() -> Change {
    Change::Cutover {
        name: edge(),
        etag: None,
        reason: "a test".into(),
    }
}

fn finish(abandon: bool) -> Change {
    Change::FinishRenewal {
        name: edge(),
        etag: None,
        abandon,
        reason: "a test".into(),
    }
}

fn moved(number: u32, transition: Action) -> Change {
    Change::MoveVersion {
        name: edge_key().version(number),
        etag: None,
        transition,
        reason: "a test".into(),
        keep_processing: false,
    }
}

fn translate(view: &View, who: &str) -> Result<Vec<KeyId>> {
    let before = Identifier::opaque(Zeroizing::new("FR-42".into()));
    let passages = vec![before.map(|before| Passage {
        before,
        after: None,
    })];
    let command = Command::Use(Use::Translate {
        edge: edge(),
        passages,
        batch: None,
    });
    let permit =
        decide(bench(view, KeyUid([0; 16])), &caller(who), &command).and_then(Verdict::permit)?;
    let all = view.all().filter_map(|s| s.value.as_version());
    Ok(all.map(|v| v.id).filter(|id| permit.covers(id)).collect())
}

fn state(view: &View, name: &VersionName) -> State {
    view.version(name).unwrap().0.state
}

/// Puts a version into a state, whatever its former one was.
fn set(view: &mut View, number: u32, state: State) {
    let (version, _) = view.version(&edge_key().version(number)).unwrap();
    let mut version = version.clone();
    version.state = state;
    put(view, Value::Version(version));
}

/// What may be translated, and between which states.
#[test]
fn translate_by_states() {
    let mut out = String::from(
        "In a renewal campaign that binds the caller: may it translate, by the states of the old\n\
         version (left) and of the new one (above)?\n\n",
    );
    write!(out, "{:<14}", "").unwrap();
    for new in State::ALL {
        write!(out, "{:<13}", new.name()).unwrap();
    }
    out.truncate(out.trim_end().len());
    for old in State::ALL {
        write!(out, "\n{:<14}", old.name()).unwrap();
        for new in State::ALL {
            let mut view = world(State::Active);
            done(&mut view, "person/p", &start(Mode::Recompute)).unwrap();
            set(&mut view, 1, old);
            set(&mut view, 2, new);
            let may = match translate(&view, "service/s") {
                Ok(ids) => {
                    assert_eq!(ids.len(), 2, "both versions and no other");
                    "yes"
                }
                Err(error) => {
                    assert_eq!(error.kind(), Kind::State, "{error:?}");
                    "-"
                }
            };
            write!(out, "{may:<13}").unwrap();
        }
        out.truncate(out.trim_end().len());
    }
    insta::assert_snapshot!(out);
}

#[test]
fn only_those_bound_to_a_campaign_translate_and_only_while_it_runs() {
    let mut view = world(State::Active);
    let refused = |view: &View, who: &str| translate(view, who).unwrap_err().kind();
    assert_eq!(refused(&view, "service/s"), Kind::Refused);
    done(&mut view, "person/p", &start(Mode::Recompute)).unwrap();
    assert!(translate(&view, "service/s").is_ok());
    assert_eq!(refused(&view, "service/t"), Kind::Refused);
    assert_eq!(refused(&view, "person/p"), Kind::Refused);
    let mut later = bench(&view, KeyUid([0; 16]));
    later.now = Time(NOW.0 + 60_000);
    let command = Command::Use(Use::Translate {
        edge: edge(),
        passages: vec![Err(Error::invalid("identifier", "none"))],
        batch: None,
    });
    let over = decide(later, &caller("service/s"), &command).unwrap_err();
    assert_eq!(over.kind(), Kind::State);
    done(&mut view, "person/p", &finish(true)).unwrap();
    assert_eq!(refused(&view, "service/s"), Kind::Refused);
}

#[test]
fn the_successor_is_active_by_a_cutover_alone_and_a_cutover_needs_a_verification() {
    let mut view = world(State::Active);
    done(&mut view, "person/p", &moved(1, Action::CompromiseVersion)).unwrap();
    done(&mut view, "person/p", &start(Mode::Recompute)).unwrap();
    let kind =
        |view: &mut View, who: &str, change: Change| done(view, who, &change).unwrap_err().kind();
    let activated = moved(2, Action::ActivateVersion);
    assert_eq!(kind(&mut view, "person/p", activated), Kind::State);
    assert_eq!(kind(&mut view, "person/p", cutover()), Kind::State);
    assert_eq!(kind(&mut view, "service/s", verify(0, 0)), Kind::Invalid);
    // A sample that is too small; more rows than were translated; not by others.
    assert_eq!(kind(&mut view, "service/s", verify(50, 49)), Kind::Invalid);
    assert_eq!(kind(&mut view, "service/s", verify(51, 51)), Kind::State);
    assert_eq!(kind(&mut view, "service/t", verify(50, 50)), Kind::Refused);
    assert_eq!(kind(&mut view, "person/p", verify(50, 50)), Kind::Refused);
    done(&mut view, "service/s", &verify(50, 50)).unwrap();
    done(&mut view, "person/p", &cutover()).unwrap();
    assert_eq!(state(&view, &edge_key().version(1)), State::Compromised);
    assert_eq!(state(&view, &edge_key().version(2)), State::Active);
    assert_eq!(view.key(&edge_key()).unwrap().0.primary, Some(2));
    assert_eq!(kind(&mut view, "person/p", cutover()), Kind::State);
    assert_eq!(kind(&mut view, "person/p", finish(true)), Kind::State);
    done(&mut view, "person/p", &finish(false)).unwrap();
    assert_eq!(state(&view, &edge_key().version(1)), State::Destroyed);
    let table: KeyName = "spaces/lab/keys/renewal-link-2".parse().unwrap();
    assert_eq!(state(&view, &table.version(1)), State::Destroyed);
}

#[test]
fn a_first_stage_lives_as_long_as_what_is_evaluated_through_it() {
    let mut view = world(State::Active);
    done(&mut view, "person/p", &start(Mode::Layered)).unwrap();
    let schedule = |number| Change::ScheduleDestruction {
        name: edge_key().version(number),
        etag: None,
        waiting: 60_000,
        force: false,
        reason: "a test".into(),
    };
    for number in [1, 2] {
        done(&mut view, "person/p", &schedule(number)).unwrap_err();
    }
    done(&mut view, "service/s", &verify(50, 50)).unwrap();
    done(&mut view, "person/p", &cutover()).unwrap();
    assert_eq!(state(&view, &edge_key().version(1)), State::Deactivated);
    done(&mut view, "person/p", &finish(false)).unwrap();
    assert_eq!(state(&view, &edge_key().version(1)), State::Deactivated);
    let refused = done(&mut view, "person/p", &schedule(1)).unwrap_err();
    assert!(refused.message().contains("first stage"), "{refused:?}");
    let second = view.version(&edge_key().version(2)).unwrap().0;
    let through: Vec<u32> = stages(&view, second)
        .iter()
        .map(|stage| stage.name.number())
        .collect();
    assert_eq!(through, [1, 2]);
    // What replaces it by something that is not layered takes both away.
    done(&mut view, "person/p", &start(Mode::Recompute)).unwrap();
    done(&mut view, "service/s", &verify(50, 50)).unwrap();
    done(&mut view, "person/p", &cutover()).unwrap();
    done(&mut view, "person/p", &finish(false)).unwrap();
    for number in [1, 2] {
        assert_eq!(state(&view, &edge_key().version(number)), State::Destroyed);
    }
}

#[test]
fn given_up_before_the_cutover_nothing_of_it_is_left() {
    let mut view = world(State::Active);
    done(&mut view, "person/p", &start(Mode::Recompute)).unwrap();
    let second = done(&mut view, "person/p", &start(Mode::Recompute)).unwrap_err();
    assert_eq!(second.kind(), Kind::State);
    let unsaid = done(&mut view, "person/p", &finish(false)).unwrap_err();
    assert_eq!(unsaid.kind(), Kind::State);
    done(&mut view, "person/p", &finish(true)).unwrap();
    assert_eq!(state(&view, &edge_key().version(1)), State::Active);
    assert_eq!(state(&view, &edge_key().version(2)), State::Destroyed);
    let own = view.key(&edge_key()).unwrap().0;
    assert_eq!(own.primary, Some(1));
    assert!(own.renewal.as_ref().unwrap().abandoned());
    done(&mut view, "person/p", &start(Mode::Recompute)).unwrap();
    assert_eq!(state(&view, &edge_key().version(3)), State::PreActive);
}

/// lab -> a -> c, lab -> b -> c: each after those that it hangs on.
#[test]
fn what_hangs_below_is_renewed_in_order() {
    let mut view = world(State::Active);
    for name in ["a", "b", "c"] {
        let space = format!("spaces/{name}").parse().unwrap();
        let space = Space::new(space, "A space".into(), SpaceKind::Project, NOW);
        put(&mut view, Value::Space(space));
    }
    for (from, to) in [("lab", "b"), ("lab", "a"), ("a", "c"), ("b", "c")] {
        put(
            &mut view,
            Value::Domain(Domain {
                name: format!("domains/of-{from}").parse().unwrap(),
                title: "Pseudonyms".into(),
                source: Some(format!("spaces/{from}").parse().unwrap()),
                created: NOW,
            }),
        );
        let own: KeyName = format!("spaces/{to}/keys/edge-of-{from}").parse().unwrap();
        put(
            &mut view,
            Value::Edge(Edge {
                name: format!("spaces/{to}/edges/of-{from}").parse().unwrap(),
                code: format!("{from}{to}").parse().unwrap(),
                input: InputType::Pseudonym,
                exportable: false,
                key: own.clone(),
                created: NOW,
            }),
        );
        key(
            &mut view,
            &own,
            Class::Pseudonymisation,
            &[(State::Active, false)],
        );
    }
    let left = |view: &View| -> Vec<String> {
        let (edge, _) = view.edge(&edge()).unwrap();
        let left = to_renew(view, edge).into_iter();
        left.map(|edge| edge.code.to_string()).collect()
    };
    assert!(left(&view).is_empty(), "nothing was renewed");
    done(&mut view, "person/p", &start(Mode::Recompute)).unwrap();
    assert_eq!(left(&view), ["laba", "ac", "labb", "bc"]);
    done(&mut view, "service/s", &verify(50, 50)).unwrap();
    done(&mut view, "person/p", &cutover()).unwrap();
    // All of this happened in one moment; the renewed version came later than the others.
    let (second, _) = view.version(&edge_key().version(2)).unwrap();
    let mut second = second.clone();
    second.activated = Some(Time(NOW.0 + 1));
    put(&mut view, Value::Version(second));
    assert_eq!(left(&view), ["laba", "ac", "labb", "bc"]);
    // One that is made after it evaluates the new pseudonyms.
    let own: KeyName = "spaces/b/keys/edge-of-lab".parse().unwrap();
    let (version, _) = view.version(&own.version(1)).unwrap();
    let mut version = version.clone();
    version.created = Time(NOW.0 + 2);
    version.moved = Moved {
        time: Time(NOW.0 + 2),
        ..version.moved
    };
    put(&mut view, Value::Version(version));
    assert_eq!(left(&view), ["laba", "ac"]);
}

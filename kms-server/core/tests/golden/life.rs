//! The life of keys under random changes: what `decide` permits and `plan` writes never breaks it.

use crate::invariants::{
    nothing_is_used_that_may_not_be, numbers_are_never_given_out_again,
    there_are_never_two_primaries, went_forward, what_is_erased_is_gone,
};
use crate::sample::{NOW, bench, binding, caller, deployment, ground, key, learned, put};
use kms_core::action::Action;
use kms_core::caller::Caller;
use kms_core::class::Class;
use kms_core::command::{Change, Command};
use kms_core::decide::{Bench, Verdict, decide};
use kms_core::deployment::Environment;
use kms_core::due::{Outlook, Steady};
use kms_core::error::Kind;
use kms_core::id::{KeyId, KeyUid};
use kms_core::key::Origin;
use kms_core::lifecycle::{Lifecycle, Unused};
use kms_core::name::{KeyName, SpaceName};
use kms_core::plan::{Act, Ground, plan};
use kms_core::revision::Revision;
use kms_core::role::Role;
use kms_core::state::State;
use kms_core::time::{DAY, Time};
use kms_core::value::Value;
use kms_core::view::View;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeSet;

#[derive(Debug, Clone)]
enum Step {
    Create(u8, Class),
    Rotate(u8, bool),
    /// A rotation that is given up, and nobody knows whether its key is gone.
    Burn(u8),
    Move(u8, u32, Action, bool),
    Schedule(u8, u32),
    Cancel(u8, u32),
    StartRewrap(u8, u32),
    FinishRewrap(u8),
    Archive,
    Decommission,
    Keep,
    /// Days pass.
    Pass(u16),
    /// The clockwork does what is due.
    Round,
    /// The clockwork begins what is due; the first destruction is given up, and nobody knows what
    /// is left.
    HalfARound,
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0..3_u8;
    let version = (0..3_u8, 1..6_u32);
    let class = prop::sample::select(Class::OFFERED.to_vec());
    let transition = prop::sample::select(vec![
        Action::ActivateVersion,
        Action::SuspendVersion,
        Action::ResumeVersion,
        Action::DeactivateVersion,
        Action::CompromiseVersion,
        Action::DestroyVersion,
    ]);
    let often = prop_oneof![
        2 => (key.clone(), class).prop_map(|(key, class)| Step::Create(key, class)),
        6 => (key.clone(), any::<bool>()).prop_map(|(key, held)| Step::Rotate(key, held)),
        2 => key.clone().prop_map(Step::Burn),
        12 => (version.clone(), transition, any::<bool>())
            .prop_map(|((key, number), moved, kept)| Step::Move(key, number, moved, kept)),
        6 => version.clone().prop_map(|(key, number)| Step::Schedule(key, number)),
        3 => version.clone().prop_map(|(key, number)| Step::Cancel(key, number)),
        3 => version.prop_map(|(key, number)| Step::StartRewrap(key, number)),
        1 => key.prop_map(Step::FinishRewrap),
    ];
    let seldom = prop_oneof![
        1 => Just(Step::Archive),
        1 => Just(Step::Decommission),
        1 => Just(Step::Keep),
        6 => (1..400_u16).prop_map(Step::Pass),
        8 => Just(Step::Round),
        2 => Just(Step::HalfARound),
    ];
    prop_oneof![2 => often, 1 => seldom]
}

fn name(key: u8) -> KeyName {
    format!("spaces/lab/keys/k{key}").parse().unwrap()
}

pub(crate) fn lab() -> SpaceName {
    "spaces/lab".parse().unwrap()
}

/// What a person asks for; `None`: it is nobody's to ask.
fn change(step: &Step) -> Option<Change> {
    let reason = "a test".to_owned();
    let (space, etag) = (lab(), None);
    Some(match step {
        Step::Create(key, class) => Change::CreateKey {
            name: name(*key),
            class: *class,
            title: String::new(),
            origin: Origin::Generated,
            exportable: false,
            labels: [].into(),
            study: None,
            lifecycle: Lifecycle::default(),
            intake: None,
        },
        Step::Rotate(key, pre_active) => Change::RotateKey {
            name: name(*key),
            etag,
            reason,
            pre_active: *pre_active,
        },
        Step::Burn(key) => Change::RotateKey {
            name: name(*key),
            etag,
            reason,
            pre_active: false,
        },
        Step::Move(key, number, transition, keep_processing) => Change::MoveVersion {
            name: name(*key).version(*number),
            etag,
            transition: *transition,
            reason,
            keep_processing: *keep_processing,
        },
        Step::Schedule(key, number) => Change::ScheduleDestruction {
            name: name(*key).version(*number),
            etag,
            waiting: 10 * DAY,
            force: false,
            reason,
        },
        Step::Cancel(key, number) => Change::CancelDestruction {
            name: name(*key).version(*number),
            etag,
            reason,
        },
        Step::StartRewrap(key, number) => Change::StartRewrap {
            name: name(*key),
            etag,
            versions: vec![*number],
            lasting: 30 * DAY,
            reason,
        },
        Step::FinishRewrap(key) => Change::FinishRewrap {
            name: name(*key),
            etag,
            reason,
        },
        Step::Archive => Change::ArchiveSpace {
            name: space,
            etag,
            reason,
        },
        Step::Decommission => Change::DecommissionSpace {
            name: space,
            etag,
            reason,
        },
        Step::Keep => Change::KeepSpace {
            name: space,
            etag,
            reason,
        },
        Step::Pass(_) | Step::Round | Step::HalfARound => return None,
    })
}

/// What there is, and when.
#[derive(Debug, Clone)]
pub(crate) struct Life {
    pub(crate) view: View,
    pub(crate) now: Time,
    /// Given up, and nobody knows what is left.
    pub(crate) burnt: BTreeSet<KeyId>,
    at: u8,
}

impl Life {
    fn outlook(&self) -> Outlook<'_> {
        Outlook {
            view: &self.view,
            now: self.now,
            steady: Steady {
                started: NOW,
                now: self.now,
            },
            uses: &Unused,
        }
    }

    fn take(&mut self, step: &Step) {
        self.at = self.at.wrapping_add(1);
        self.now = self.now.plus_millis(1);
        match step {
            Step::Pass(days) => self.now = self.now.plus_millis(u64::from(*days) * DAY),
            Step::Round => self.rounds(),
            Step::HalfARound => {
                let due = self.outlook().due(self.now);
                let changes = due.iter().filter_map(|due| due.change().unwrap());
                let destroys =
                    |c: &Change| matches!(c.action(), Action::DestroyVersion | Action::EraseSpace);
                let begun: Vec<Change> = changes.filter(destroys).take(1).collect();
                for change in begun {
                    self.judge(&Caller::Scheduler, &change, true);
                }
            }
            asked => {
                let change = change(asked).unwrap();
                let burns = matches!(step, Step::Burn(_));
                self.judge(&caller("person/p"), &change, burns);
            }
        }
    }

    /// Until nothing is left that the service does by itself.
    fn rounds(&mut self) {
        for _ in 0..4 {
            let due = self.outlook().due(self.now);
            for change in due.iter().filter_map(|due| due.change().unwrap()) {
                let before = self.view.clone();
                self.judge(&Caller::Scheduler, &change, false);
                self.follows(&before);
            }
        }
        let left = self.outlook().due(self.now);
        let left: Vec<_> = left.iter().filter(|due| due.task.by_itself()).collect();
        assert!(left.is_empty(), "{left:?} is never done");
    }

    /// Every version went one step forward at the most.
    fn follows(&self, before: &View) {
        for old in before.versions_in(&lab()) {
            let (new, _) = self.view.version(&old.name).unwrap();
            went_forward(old, new, self.now);
        }
    }

    /// Does it, if it is permitted; if it burns, it is begun and given up.
    fn judge(&mut self, asker: &Caller, change: &Change, burns: bool) {
        let fresh = KeyUid([self.at.wrapping_add(100); 16]);
        let bench = Bench {
            now: self.now,
            ..bench(&self.view, fresh)
        };
        let ground = Ground {
            now: self.now,
            steady: self.outlook().steady,
            ..ground(&self.view, asker, fresh)
        };
        let planned = decide(bench, asker, &Command::Change(change.clone()))
            .and_then(Verdict::permit)
            .and_then(|permit| Ok((permit, plan(ground, change)?)));
        let (permit, planned) = match planned {
            Ok(planned) => planned,
            Err(error) => {
                assert_ne!(error.kind(), Kind::Internal, "{change:?}: {error:?}");
                return;
            }
        };
        for reached in planned.act.touches() {
            assert!(
                permit.covers(&reached),
                "{change:?} reaches what was not permitted"
            );
        }
        for made in planned.act.makes() {
            assert!(
                !self.burnt.contains(&made),
                "{change:?} gives a burnt number out"
            );
        }
        if let Act::Destroy(_) = planned.act {
            assert_eq!(*asker, Caller::Scheduler, "{change:?}");
        }
        let (mut next, revision) = (self.view.clone(), Revision(self.view.revision().0 + 1));
        if burns {
            for left in planned.act.touches() {
                next.burn(left);
                self.burnt.insert(left);
            }
            self.view = next;
            return;
        }
        for write in &planned.writes {
            let there = self.view.get(&write.value.name()).map(|s| s.revision);
            assert_eq!(there, write.replaces, "a write on what was not read");
        }
        for value in planned.values(&[learned(u32::from(self.at))]) {
            next.put(value, revision);
        }
        self.view = next;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn keys_live_as_they_should(
        first in vec((prop::sample::select(State::ALL.to_vec()), any::<bool>()), 0..3),
        steps in vec(step(), 1..40),
    ) {
        let mut view = deployment(Environment::Development);
        let roles = [Role::SpaceSteward, Role::KeyOperator];
        put(&mut view, Value::Binding(binding("person/p", &roles).unwrap()));
        put(&mut view, Value::Binding(binding("service/etl", &[Role::DataService]).unwrap()));
        // A key with a past, of which at most one version is active or suspended.
        let mut held = false;
        let past: Vec<(State, bool)> = first
            .into_iter()
            .filter(|(state, _)| {
                let holds = matches!(state, State::Active | State::Suspended);
                !holds || !std::mem::replace(&mut held, true)
            })
            .collect();
        key(&mut view, &name(0), Class::DataAtRest, &past);
        let mut life = Life { view, now: NOW, burnt: BTreeSet::new(), at: 0 };
        for (step, asked) in steps.iter().zip([0, 1, 2].into_iter().cycle()) {
            let before = life.view.clone();
            life.take(step);
            // It asks the policy, which takes long: of one key at a time.
            nothing_is_used_that_may_not_be(&life, &name(asked));
            for key in 0..3 {
                let key = name(key);
                numbers_are_never_given_out_again(&life, &key);
                there_are_never_two_primaries(&life.view, &key);
            }
            // In a round each change was looked at by itself.
            if !matches!(step, Step::Round) {
                life.follows(&before);
            }
            what_is_erased_is_gone(&life.view);
        }
    }
}

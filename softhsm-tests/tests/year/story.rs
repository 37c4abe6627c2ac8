//! The log of changes, read from its beginning: it tells the same story as the store, and everything
//! in it was allowed to happen, when it did, and once.

use crate::people::CUSTODIANS;
use crate::world::World;
use kms_core::action::Action;
use kms_core::class::Class;
use kms_core::key::Version;
use kms_core::name::VersionName;
use kms_core::record::{Detail, Intention, Record, Settled};
use kms_core::replay::Replay;
use kms_core::revision::Revision;
use kms_core::state::State;
use kms_core::time::Time;
use kms_core::value::{Stamped, Value};
use kms_core::view::View;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What happened, in figures.
#[derive(Debug, Default)]
pub(crate) struct Story {
    pub(crate) changes: usize,
    pub(crate) given_up: usize,
    pub(crate) rotations: usize,
    /// Of those, by the clockwork.
    pub(crate) by_itself: usize,
    pub(crate) destroyed: usize,
    pub(crate) pairs: usize,
    pub(crate) compromised: usize,
    pub(crate) suspended: usize,
    pub(crate) scheduled: usize,
    pub(crate) cancelled: usize,
    pub(crate) erasures: usize,
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Story {
            changes,
            given_up,
            rotations,
            by_itself,
            destroyed,
            pairs,
            compromised,
            suspended,
            scheduled,
            cancelled,
            erasures,
        } = self;
        write!(
            f,
            "log: {changes} changes, {given_up} given up; {rotations} rotations, {by_itself} by the \
             clockwork; {suspended} suspended, {compromised} compromised; {scheduled} destructions \
             scheduled, {cancelled} taken back, {destroyed} versions destroyed, {pairs} of them \
             pairs, {erasures} erasures of spaces"
        )
    }
}

/// Reads it.
pub(crate) fn read(world: &World) -> Story {
    let mut story = Story::default();
    let mut replay = Replay::default();
    for record in world.log() {
        if let (Detail::Outcome(outcome), Some(open)) = (record.detail(), replay.open()) {
            match outcome.settled {
                Settled::Committed { .. } => {
                    story.changes += 1;
                    story.was_allowed(&open.record, &open.intention, replay.view());
                }
                Settled::Abandoned { .. } => story.given_up += 1,
            }
        }
        // Every approval in it is verified here, and every digest.
        if let Err(broken) = replay.feed(record) {
            panic!("the log does not replay: {:?}", broken.cause());
        }
    }
    assert!(replay.open().is_none(), "a change is not settled");
    agrees(world, &replay);
    story
}

/// The store is what the log says, and what is served is too.
fn agrees(world: &World, replay: &Replay) {
    let stored: BTreeMap<String, (Value, Revision)> = world
        .stored()
        .into_iter()
        .filter(|entry| !entry.key.starts_with("local/"))
        .map(|entry| {
            (
                entry.key,
                (Value::decode(&entry.value).unwrap(), entry.revision),
            )
        })
        .collect();
    assert_eq!(replay.differences(&stored), Vec::<String>::new());
    let all = |view: &View| view.all().cloned().collect::<Vec<Stamped<Value>>>();
    assert_eq!(
        all(replay.view()),
        all(&world.view()),
        "what is served is not the log"
    );
}

impl Story {
    fn was_allowed(&mut self, record: &Record, intention: &Intention, before: &View) {
        let action = action(record);
        if let Some(needed) = approvals(action, intention, before) {
            people_agreed(record, intention, before, needed);
        }
        let itself = record.actor() == "scheduler";
        match action {
            Action::RotateKey if itself => self.by_itself += 1,
            Action::ScheduleDestruction => self.scheduled += 1,
            Action::CancelDestruction => self.cancelled += 1,
            Action::SuspendVersion => self.suspended += 1,
            Action::CompromiseVersion => self.compromised += 1,
            Action::EraseSpace => self.erasures += 1,
            _ => {}
        }
        self.rotations += usize::from(action == Action::RotateKey);
        for write in &intention.plan.writes {
            if let Some(new) = write.value.as_version() {
                let old = before.version(&new.name).map(|(old, _)| old);
                self.version(record, action, (old, new), before);
            }
        }
        if action == Action::EraseSpace {
            let (_, name) = record.resource().unwrap();
            let (space, _) = before.space(&name.parse().unwrap()).unwrap();
            let day = space
                .decommission
                .as_ref()
                .expect("it was decommissioned")
                .erase;
            assert!(day <= record.time(), "{name} was erased before its day");
        }
        if action == Action::RotateKey && itself {
            was_due(record, before);
        }
    }

    fn version(
        &mut self,
        record: &Record,
        action: Action,
        (old, new): (Option<&Version>, &Version),
        before: &View,
    ) {
        let name = &new.name;
        let Some(old) = old else {
            let begins = matches!(new.state, State::Active | State::PreActive);
            assert!(begins, "{name} began as {}", new.state);
            return;
        };
        if old.state == new.state {
            return;
        }
        assert!(
            old.state.may_become(new.state),
            "{name}: {} to {}",
            old.state,
            new.state
        );
        assert_eq!(new.moved.actor, record.actor(), "{name}");
        assert!(!new.moved.reason.is_empty(), "{name}");
        if new.state != State::Destroyed {
            return;
        }
        self.destroyed += 1;
        let (key, _) = before.key(name.key()).unwrap();
        let by = matches!(action, Action::DestroyVersion | Action::EraseSpace);
        assert!(by, "{name} was destroyed by {action}");
        if action == Action::EraseSpace {
            return;
        }
        if let Some(scheduled) = &old.destruction {
            assert!(
                scheduled.at <= record.time(),
                "{name} was destroyed before its day"
            );
            return;
        }
        assert_eq!(
            key.class,
            Class::ImportWrapping,
            "{name} was destroyed, and nobody set a day"
        );
        self.pairs += 1;
        let processing = before.lifecycle(key).processing.unwrap();
        let over = old.retired.unwrap().plus_millis(processing);
        assert!(
            over <= record.time(),
            "{name}: an import token may still be good"
        );
    }
}

fn action(record: &Record) -> Action {
    let mut all = Action::ALL.iter();
    *all.find(|a| a.name() == record.operation()).unwrap()
}

/// How many custodians it takes, as the policy of production says; `None`: it says nothing.
fn approvals(action: Action, intention: &Intention, before: &View) -> Option<usize> {
    let pair = |name: &VersionName| {
        let class = before.key(name.key()).unwrap().0.class;
        class == Class::ImportWrapping
    };
    match action {
        Action::DestroyVersion => {
            let mut versions = intention
                .plan
                .writes
                .iter()
                .filter_map(|w| w.value.as_version());
            (!versions.all(|v| pair(&v.name))).then_some(1)
        }
        Action::EraseSpace
        | Action::CompromiseVersion
        | Action::StartRewrap
        | Action::CreateEdge => Some(1),
        Action::ScheduleDestruction | Action::DecommissionSpace => Some(2),
        _ => None,
    }
}

/// Distinct custodians, none of whom asked; that their signatures hold was verified.
fn people_agreed(record: &Record, intention: &Intention, before: &View, needed: usize) {
    let what = format!(
        "entry {}: {} by {}",
        record.index(),
        record.operation(),
        record.actor()
    );
    let name = intention.proposal.as_ref();
    let name = name.unwrap_or_else(|| panic!("{what}: nobody agreed"));
    let (proposal, _) = before.proposal(name).unwrap();
    let agreed: BTreeSet<String> = proposal
        .approvals
        .iter()
        .map(|approval| approval.custodian.to_string())
        .filter(|custodian| CUSTODIANS.contains(&custodian.as_str()))
        .collect();
    assert!(agreed.len() >= needed, "{what}: {agreed:?} agreed");
    assert!(
        !agreed.contains(&proposal.terms.proposer.to_string()),
        "{what}"
    );
}

/// The clockwork rotates once for each time that it is due: what it retired had protected for
/// nineteen twentieths of its time at least.
fn was_due(record: &Record, before: &View) {
    let (_, name) = record.resource().unwrap();
    let (key, _) = before.key(&name.parse().unwrap()).unwrap();
    let primary = before.primary(key).expect("there was one to rotate");
    assert_eq!(primary.state, State::Active, "{}", primary.name);
    let period = before.lifecycle(key).protecting;
    let age = record.time().since(primary.activated.unwrap_or(Time(0)));
    assert!(
        age >= period / 20 * 19,
        "{} was rotated after {age} of {period} ms",
        primary.name
    );
}

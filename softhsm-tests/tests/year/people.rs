//! Operators, the steward and the custodians: what they ask, what they agree to, and what they then
//! carry out.

use crate::dice::Dice;
use crate::tally::Tally;
use crate::weather::through;
use crate::world::{Answer, World, uri};
use kms_core::action::Action;
use kms_core::certificate::Scheme;
use kms_core::class::Class;
use kms_core::command::Change;
use kms_core::error::{Kind, Result};
use kms_core::key::{Key, Version};
use kms_core::lifecycle::Lifecycle;
use kms_core::proposal::{Proposal, Terms};
use kms_core::state::State;
use kms_core::time::{DAY, Time};
use kms_core::view::View;
use kms_server::engine::Reply;
use softhsm_tests::certificate;

/// Who agrees.
pub(crate) const CUSTODIANS: [&str; 2] = ["person/carl", "person/carol"];

/// A change that others must agree to, carried out.
pub(crate) fn agreed(world: &World, who: &str, change: Change) {
    let terms = proposed(world, who, &change);
    for custodian in CUSTODIANS {
        world.must(custodian, approval(&terms, custodian));
    }
    let done = world.execute(who, &terms.name);
    assert!(matches!(done, Answer::Told(Ok(_))), "{change:?}: {done:?}");
}

/// What there is to agree to.
pub(crate) fn proposed(world: &World, who: &str, change: &Change) -> Terms {
    let told = world.change(who, change.clone());
    let Answer::Told(Err(error)) = told else {
        panic!("{change:?} waits for nobody: {told:?}");
    };
    assert_eq!(error.kind(), Kind::Pending, "{change:?}: {error:?}");
    waiting_as(&world.view(), change)
}

/// The terms under which a change waits.
pub(crate) fn waiting_as(view: &View, change: &Change) -> Terms {
    let text = change.text().unwrap();
    let mut same = view.proposals().filter(|p| p.terms.command == text);
    let found = same.find(|p| p.ended.is_none() && p.still_applies(view));
    found.expect("it waits").terms.clone()
}

/// A custodian's agreement.
pub(crate) fn approval(terms: &Terms, custodian: &str) -> Change {
    let message = terms.message(&"year".parse().unwrap(), &custodian.parse().unwrap());
    Change::Approve {
        proposal: terms.name.clone(),
        scheme: Scheme::Ed25519,
        signature: certificate::sign(&uri(custodian), &message),
        reason: "agreed".into(),
    }
}

/// What people do in a day.
pub(crate) fn day(world: &mut World, now: Time, dice: &mut Dice, tally: &mut Tally) {
    for _ in 0..=dice.below(2) {
        if let Some(change) = idea(&world.view(), dice) {
            asked(world, dice, tally, "person/olga", &change);
        }
    }
    agree(world, now, dice, tally);
    carry_out(world, now, dice, tally);
}

/// Somebody asks, and is told something that makes sense.
pub(crate) fn asked(
    world: &mut World,
    dice: &mut Dice,
    tally: &mut Tally,
    who: &str,
    change: &Change,
) {
    let (told, _) = through(world, dice, tally, |w| w.change(who, change.clone()));
    count(tally, told, change);
}

fn count(tally: &mut Tally, told: Option<Result<Reply>>, change: &Change) {
    match told {
        Some(Ok(_)) => tally.acts += 1,
        Some(Err(error)) => {
            let advice = match error.kind() {
                Kind::State
                | Kind::Conflict
                | Kind::Pending
                | Kind::Unavailable
                | Kind::Unknown => true,
                Kind::Invalid
                | Kind::Refused
                | Kind::NotFound
                | Kind::Exhausted
                | Kind::Internal => false,
            };
            assert!(advice, "{change:?}: {error} ({:?})", error.cause());
            tally.refused += 1;
        }
        None => {}
    }
}

/// Custodians look at what waits: they agree to most, turn some down, and leave some for another
/// day.
fn agree(world: &mut World, now: Time, dice: &mut Dice, tally: &mut Tally) {
    let view = world.view();
    let waiting = |p: &&Proposal| p.waits(now) && p.still_applies(&view);
    let waiting: Vec<Proposal> = view.proposals().filter(waiting).cloned().collect();
    for proposal in waiting {
        if dice.one_in(4) {
            continue;
        }
        if dice.one_in(20) {
            let change = Change::Reject {
                proposal: proposal.terms.name,
                reason: "not so".into(),
            };
            asked(world, dice, tally, "person/carl", &change);
            continue;
        }
        let already: Vec<String> = proposal
            .approvals
            .iter()
            .map(|a| a.custodian.to_string())
            .collect();
        let others = CUSTODIANS
            .iter()
            .filter(|c| !already.iter().any(|a| a == *c));
        for custodian in others.take(usize::from(proposal.needed) - already.len()) {
            let change = approval(&proposal.terms, custodian);
            asked(world, dice, tally, custodian, &change);
            tally.approvals += 1;
        }
    }
}

/// Who proposed something that was agreed to carries it out.
fn carry_out(world: &mut World, now: Time, dice: &mut Dice, tally: &mut Tally) {
    let view = world.view();
    let ripe: Vec<Terms> = view
        .proposals()
        .filter(|p| p.waits(now) && p.approvals.len() >= usize::from(p.needed))
        .filter(|p| p.still_applies(&view) && !p.terms.proposer.is_scheduler())
        .map(|p| p.terms.clone())
        .collect();
    for terms in ripe {
        let who = terms.proposer.to_string();
        let (told, _) = through(world, dice, tally, |w| w.execute(&who, &terms.name));
        count(tally, told, &terms.change().unwrap());
    }
}

/// Something that an operator may think of.
fn idea(view: &View, dice: &mut Dice) -> Option<Change> {
    let keys = keys(view);
    let versions: Vec<Version> = keys
        .iter()
        .flat_map(|key| view.versions(&key.name))
        .cloned()
        .collect();
    let reason = || "a day's work".to_owned();
    let some = |dice: &mut Dice, fit: &dyn Fn(&Version) -> bool| -> Option<Version> {
        let fit: Vec<&Version> = versions.iter().filter(|v| fit(v)).collect();
        dice.pick(&fit).map(|v| (*v).clone())
    };
    let moved = |version: Version, transition| Change::MoveVersion {
        name: version.name,
        etag: None,
        transition,
        reason: reason(),
        keep_processing: false,
    };
    let rotate = |key: &Key, pre_active| Change::RotateKey {
        name: key.name.clone(),
        etag: None,
        reason: reason(),
        pre_active,
    };
    let living = |key: &&Key| view.space(key.name.space()).unwrap().0.archived.is_none();
    // First what nobody else mends.
    let bare = keys.iter().filter(living).find(|key| key.primary.is_none());
    if let Some(key) = bare.filter(|_| dice.one_in(2)) {
        return Some(rotate(key, false));
    }
    match dice.below(20) {
        0 => dice.pick(&keys).map(|key| rotate(key, false)),
        1 => dice.pick(&keys).map(|key| rotate(key, true)),
        2 | 3 => {
            some(dice, &|v| v.state == State::PreActive).map(|v| moved(v, Action::ActivateVersion))
        }
        4 | 5 => {
            some(dice, &|v| v.state == State::Active).map(|v| moved(v, Action::SuspendVersion))
        }
        6..=8 => {
            let version = some(dice, &|v| v.state == State::Suspended)?;
            let (key, _) = view.key(version.name.key()).unwrap();
            let back = key.primary == Some(version.name.number()) && !dice.one_in(5);
            let to = if back {
                Action::ResumeVersion
            } else {
                Action::DeactivateVersion
            };
            Some(moved(version, to))
        }
        9 if dice.one_in(2) => some(dice, &|v| {
            v.state != State::Destroyed && v.state != State::Compromised
        })
        .map(|v| moved(v, Action::CompromiseVersion)),
        10..=13 => {
            let harmed = dice.one_in(2);
            let wanted = if harmed {
                State::Compromised
            } else {
                State::Deactivated
            };
            let version = some(dice, &|v| v.state == wanted && v.destruction.is_none())?;
            Some(Change::ScheduleDestruction {
                name: version.name,
                etag: None,
                waiting: (7 + u64::try_from(dice.below(24)).unwrap()) * DAY,
                force: false,
                reason: reason(),
            })
        }
        14 => some(dice, &|v| {
            v.destruction.is_some() && v.state != State::Destroyed
        })
        .map(|v| Change::CancelDestruction {
            name: v.name,
            etag: None,
            reason: reason(),
        }),
        15 | 16 => {
            let version = some(dice, &|v| v.state == State::Compromised)?;
            let (key, _) = view.key(version.name.key()).unwrap();
            key.rewrap.is_none().then(|| Change::StartRewrap {
                name: key.name.clone(),
                etag: None,
                versions: vec![version.name.number()],
                lasting: 30 * DAY,
                reason: reason(),
            })
        }
        17 => keys
            .iter()
            .find(|key| key.rewrap.is_some())
            .map(|key| Change::FinishRewrap {
                name: key.name.clone(),
                etag: None,
                reason: reason(),
            }),
        18 => dice.pick(&keys).map(|key| Change::UpdateKey {
            name: key.name.clone(),
            etag: None,
            title: None,
            labels: None,
            study: None,
            lifecycle: Some(Lifecycle {
                protecting: Some(60 * DAY),
                ..Lifecycle::default()
            }),
        }),
        _ => None,
    }
}

/// The keys that an operator may do everything with.
fn keys(view: &View) -> Vec<Key> {
    let all = view.all().filter_map(|s| s.value.as_key());
    all.filter(|key| key.class == Class::DataAtRest)
        .cloned()
        .collect()
}

//! Every outside call of the engine fails: *not done*, *done but reported as failed*, and with the
//! death of the process before or after it. Afterwards everything that was acknowledged is there,
//! nothing is doubled or lost, and a client that sends its request again gets one result.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_types,
    reason = "a test says what it expects and fails loudly"
)]

mod burnt;
mod clock;
mod clockwork;
mod founding;
mod invariants;
mod kind;
mod random;
mod rebuild;
mod renewal;
mod statistics;
mod world;

use invariants::Orphans;
use kind::{Kind, opens, seal};
use kms_core::command::{Change, Command, Named, Read};
use kms_core::error::Kind as ErrorKind;
use kms_core::quota::QuotaName;
use kms_core::value::{Stamped, Value};
use kms_core::view::View;
use kms_server::engine::Reply;
use softhsm_tests::script::Fault;
use softhsm_tests::setting::full;
use uuid::Uuid;
use world::{Answer, Token, World};

macro_rules! every_fault {
    ($($test:ident: $kind:ident;)*) => {
        $(
            #[test]
            fn $test() {
                every_fault_in(Kind::$kind, stringify!($test));
            }
        )*
    };
}

every_fault! {
    creating_a_space: CreateSpace;
    creating_a_domain: CreateDomain;
    creating_an_edge: CreateEdge;
    creating_a_key: CreateKey;
    creating_an_external_key: CreateExternalKey;
    updating_a_key: UpdateKey;
    rotating_a_key: RotateKey;
    rotating_a_key_that_is_held_back: RotateKeyHeldBack;
    activating_a_version: Activate;
    suspending_a_version: Suspend;
    resuming_a_version: Resume;
    deactivating_a_version: Deactivate;
    compromising_a_version: Compromise;
    approving_a_proposal: Approve;
    setting_a_quota: PutQuota;
    importing_a_key: ImportKey;
    scheduling_a_destruction: ScheduleDestruction;
    taking_a_destruction_back: CancelDestruction;
    archiving_a_space: ArchiveSpace;
    decommissioning_a_space: DecommissionSpace;
    starting_a_re_wrap_campaign: StartRewrap;
    starting_a_renewal: StartRenewal;
    verifying_a_renewal: VerifyRenewal;
    cutting_over: Cutover;
    finishing_a_renewal: FinishRenewal;
    giving_a_renewal_up: AbandonRenewal;
}

/// What the caller's side does after a fault that leaves the process alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    GoOn,
    Restart,
}

/// More outside calls than any change makes.
const MOST: usize = 20;

fn every_fault_in(kind: Kind, label: &str) {
    let mut world = World::founded(&Token::empty(label));
    let mut number = 0;
    // What much leads up to is done at every third call in the plain run, at others for each fault.
    let stride = if kind.is_long() && !full() { 3 } else { 1 };
    let mut first = 0;
    for fault in Fault::ALL {
        for next in [Next::GoOn, Next::Restart] {
            if fault.is_crash() && next == Next::GoOn {
                continue;
            }
            let mut index = first;
            first = (first + 1) % stride;
            while reached(
                &mut world,
                kind,
                &format!("c{number}"),
                (index, fault, next),
            ) {
                number += 1;
                index += stride;
                assert!(index < MOST, "a change has an end");
            }
            number += 1;
            assert!(index >= 3, "an intention, a commit and an outcome at least");
        }
    }
}

/// One change with one fault. Whether it made that many calls.
fn reached(
    world: &mut World,
    kind: Kind,
    slug: &str,
    (index, fault, next): (usize, Fault, Next),
) -> bool {
    let story = format!("{kind:?}, {fault:?} at call {index}, {next:?}");
    let change = kind.prepare(world, slug);
    let key = key_of(&change);
    let sealed = (kind == Kind::RotateKey).then(|| seal(world, &key.clone().unwrap()));
    let before = world.view();
    let request = Uuid::new_v4();

    world.life().script.start([(index, fault)]);
    let answer = world.change(request, &change);
    let calls = world.life().script.stop();
    let story = format!("{story}: {calls:?}");
    let reached = calls.len() > index;
    match &answer {
        Answer::Died => assert!(fault.is_crash(), "{story}"),
        // It came in, and its receipt alone could not be signed.
        Answer::Told(Ok(Reply::Imported(_, None))) => assert!(reached, "{story}"),
        Answer::Told(Ok(_)) => assert!(!reached, "{story}: a fault was not heard of"),
        Answer::Told(Err(error)) => {
            let advice = matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Unknown);
            assert!(reached && advice, "{story}: {error:?}");
        }
    }
    if matches!(answer, Answer::Died) || next == Next::Restart {
        world.reopen();
        invariants::hold(world, Orphans::None);
        if let Answer::Told(Err(error)) = &answer
            && error.kind() == ErrorKind::Unavailable
        {
            let changed = versions(&world.view()) - versions(&before);
            assert_eq!(changed, 0, "{story}: it was said that nothing was done");
        }
    }

    let made = again_until_done(world, request, &change, &story);
    let after = world.view();
    invariants::hold(world, Orphans::None);
    invariants::nothing_was_taken_back(&before, &after);
    let more = versions(&after) - versions(&before);
    assert_eq!(more, kind.versions_made(), "{story}");
    assert_eq!(
        after.get(&made.value.name()),
        Some(&made),
        "{story}: what was acknowledged is not what is there"
    );
    let repeated = told(world.change(request, &change), &story);
    assert_eq!(repeated, made, "{story}: the same request, another result");
    assert_eq!(versions(&world.view()), versions(&after), "{story}");

    if let Some(key) = key.and_then(|name| after.key(&name).map(|(key, _)| key.clone())) {
        invariants::material_is_what_was_recorded(world, &key);
        if matches!(
            kind,
            Kind::CreateKey | Kind::RotateKey | Kind::ImportKey | Kind::Resume
        ) {
            let fresh = seal(world, &key.name);
            assert!(opens(world, &key.name, fresh), "{story}");
        }
        if let Some(sealed) = sealed {
            assert!(opens(world, &key.name, sealed), "{story}: data are lost");
        }
    }
    reached
}

/// A client that sends its request again, and is told so when the server has to be restarted.
fn again_until_done(
    world: &mut World,
    request: Uuid,
    change: &Change,
    story: &str,
) -> Stamped<Value> {
    if let Answer::Told(Ok(_)) = world.change(request, change) {
        // What is acknowledged is there for the next who asks, not only after a restart.
        let (_, name) = change.resource();
        let read = match change.proposal() {
            Some(proposal) => Read::Proposal(proposal.clone()),
            None => Read::Resource(named(&name)),
        };
        world.get("person/olga", Command::Read(read));
    } else {
        // A log in doubt takes nothing more before a restart.
        world.reopen();
    }
    told(world.change(request, change), story)
}

fn told(answer: Answer, story: &str) -> Stamped<Value> {
    match answer {
        Answer::Told(Ok(Reply::Resource(made) | Reply::Imported(made, _))) => *made,
        Answer::Told(Ok(Reply::Renewal(renewed))) => Stamped {
            value: Value::Key(renewed.key.value),
            revision: renewed.key.revision,
        },
        other @ (Answer::Told(_) | Answer::Died) => panic!("{story}: sent again: {other:?}"),
    }
}

fn named(name: &str) -> Named {
    if let Ok(name) = name.parse::<QuotaName>() {
        named(&name.on().to_string())
    } else if let Ok(name) = name.parse() {
        Named::Version(name)
    } else if let Ok(name) = name.parse() {
        Named::Key(name)
    } else if let Ok(name) = name.parse() {
        Named::Edge(name)
    } else if let Ok(name) = name.parse() {
        Named::Domain(name)
    } else {
        Named::Space(name.parse().unwrap())
    }
}

fn key_of(change: &Change) -> Option<kms_core::name::KeyName> {
    match change {
        Change::CreateKey { name, .. }
        | Change::UpdateKey { name, .. }
        | Change::RotateKey { name, .. }
        | Change::StartRewrap { name, .. }
        | Change::FinishRewrap { name, .. }
        | Change::ImportKey { name, .. } => Some(name.clone()),
        Change::MoveVersion { name, .. }
        | Change::ScheduleDestruction { name, .. }
        | Change::CancelDestruction { name, .. }
        | Change::ExportKey { name, .. } => Some(name.key().clone()),
        Change::CreateEdge { name, .. }
        | Change::StartRenewal { name, .. }
        | Change::VerifyRenewal { name, .. }
        | Change::Cutover { name, .. }
        | Change::FinishRenewal { name, .. } => name.key().ok(),
        Change::Found(_)
        | Change::FoundKey { .. }
        | Change::Rebuild(_)
        | Change::CreateSpace { .. }
        | Change::UpdateSpace { .. }
        | Change::ArchiveSpace { .. }
        | Change::DecommissionSpace { .. }
        | Change::KeepSpace { .. }
        | Change::EraseSpace { .. }
        | Change::CreateDomain { .. }
        | Change::Approve { .. }
        | Change::Reject { .. }
        | Change::Withdraw { .. }
        | Change::PutPolicy { .. }
        | Change::PutBindings { .. }
        | Change::PutQuota { .. }
        | Change::ChainPerson { .. }
        | Change::DeclareBackup { .. }
        | Change::CreateDestination { .. }
        | Change::DeclareEmergency { .. }
        | Change::EndEmergency { .. }
        | Change::ReviewEmergency { .. } => None,
    }
}

fn versions(view: &View) -> usize {
    view.all()
        .filter(|stamped| stamped.value.as_version().is_some())
        .count()
}

/// Intention, act, commit, outcome: the order of the outside calls of every change.
#[test]
fn the_order_of_outside_calls_is_golden() {
    let world = World::founded(&Token::empty("the_order_of_outside_calls"));
    let mut lines = String::new();
    for (number, kind) in Kind::ALL.into_iter().enumerate() {
        let change = kind.prepare(&world, &format!("c{number}"));
        world.life().script.start([]);
        told(
            world.change(Uuid::new_v4(), &change),
            "a change without faults",
        );
        let calls = world.life().script.stop().join(" > ");
        lines.push_str(&format!("{:<20} {calls}\n", format!("{kind:?}")));
    }
    insta::assert_snapshot!(lines);
}

//! A clock that somebody sets: what has expired stays so.

use crate::kind::Kind;
use crate::world::{Answer, Token, World};
use kms_core::command::{Change, Command, Read};
use kms_core::error::Kind as ErrorKind;
use kms_core::proposal::LIFETIME;
use kms_core::time::Time;
use kms_server::clock::{Clock, SystemClock};
use kms_server::engine::{Reply, Standing};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;
use uuid::Uuid;

/// The machine's clock, and by how much somebody has set it wrong.
#[derive(Debug, Default)]
pub(crate) struct Set {
    machine: SystemClock,
    wrong: AtomicI64,
    /// So many milliseconds went by in no time.
    went: AtomicU64,
}

impl Clock for Set {
    fn now(&self) -> Time {
        let wrong = self.wrong.load(Ordering::Relaxed);
        let now = self
            .machine
            .now()
            .plus_millis(self.went.load(Ordering::Relaxed));
        Time(now.0.saturating_add_signed(wrong))
    }

    fn monotonic(&self) -> Duration {
        self.machine.monotonic() + Duration::from_millis(self.went.load(Ordering::Relaxed))
    }
}

impl Set {
    pub(crate) fn goes_on(&self, millis: u64) {
        self.went.fetch_add(millis, Ordering::Relaxed);
    }

    pub(crate) fn jumps(&self, millis: i64) {
        self.wrong.fetch_add(millis, Ordering::Relaxed);
    }
}

fn kind(answer: Answer) -> ErrorKind {
    match answer {
        Answer::Told(Err(error)) => error.kind(),
        other @ (Answer::Told(Ok(_)) | Answer::Died) => panic!("{other:?}"),
    }
}

fn standing(world: &World, change: &Change) -> Standing {
    let proposal = change.proposal().unwrap().clone();
    let shown = world.get("person/olga", Command::Read(Read::Proposal(proposal)));
    let Reply::Proposal(_, standing, _) = shown else {
        panic!("{shown:?}");
    };
    standing
}

#[test]
fn a_proposal_that_has_expired_does_not_live_again_when_the_clock_is_set_back() {
    let mut world = World::founded(&Token::empty("the_clock_is_set_back"));
    let approve = Kind::Approve.prepare(&world, "object");
    let compromise = Change::MoveVersion {
        name: "spaces/lab/keys/object/versions/1".parse().unwrap(),
        etag: None,
        transition: kms_core::action::Action::CompromiseVersion,
        reason: "a test".into(),
        keep_processing: false,
    };
    world.must(approve.clone());
    let beyond = i64::try_from(LIFETIME).unwrap() + 1;
    world.clock().jumps(beyond);
    assert_eq!(standing(&world, &approve), Standing::Expired);
    // Set back under the running service: time does not go back with it.
    world.clock().jumps(-beyond);
    assert_eq!(standing(&world, &approve), Standing::Expired);
    // What is asked now is asked anew, at the latest time that was ever seen; the log holds it.
    let anew = kind(world.change(Uuid::new_v4(), &compromise));
    assert_eq!(anew, ErrorKind::Pending);
    let waiting = |world: &World| world.view().proposals().count();
    assert_eq!(waiting(&world), 2, "the expired one carried nothing");
    world.reopen();
    assert_eq!(standing(&world, &approve), Standing::Expired);
}

//! What `rebuild` records, with every fault at every outside call: what the log saw destroyed is
//! destroyed again, what could not be proved is suspended, once, and nothing else is touched.

use crate::invariants::{self, Orphans};
use crate::kind::Kind;
use crate::world::{Answer, Token, World};
use kms_core::caller::Caller;
use kms_core::command::{Change, Command};
use kms_core::error::Kind as ErrorKind;
use kms_core::id::KeyUid;
use kms_core::name::{KeyName, RebuildName, VersionName};
use kms_core::rebuild::{Evidence, Found};
use kms_core::state::State;
use kms_server::engine::Call;
use softhsm_tests::script::Fault;
use uuid::Uuid;

/// A change, the key that is destroyed again, and the version that is suspended.
struct Prepared {
    found: Found,
    gone: VersionName,
    held: VersionName,
}

#[test]
fn what_is_done_about_a_rebuilt_store_survives_every_fault() {
    let mut world = World::founded(&Token::empty("what_a_rebuild_does"));
    let mut number = 0;
    for fault in Fault::ALL {
        let mut index = 0;
        loop {
            number += 1;
            let prepared = prepare(&world, number);
            world.life().script.start([(index, fault)]);
            let answer = asked(&world, &prepared.found);
            let calls = world.life().script.stop();
            let story = format!("{fault:?} at call {index}: {calls:?}");
            if answer.is_none_or(|told| told.is_err()) {
                world.reopen();
            }
            if !recorded(&world, &prepared.found.name) {
                let again = asked(&world, &prepared.found).expect("nobody dies");
                again.unwrap_or_else(|error| panic!("{story}: {error:?}"));
            }
            holds(&world, &prepared, &story);
            if calls.len() <= index {
                break;
            }
            index += 1;
        }
        assert!(index >= 4, "an intention, an act, a commit and an outcome");
    }
}

/// Nobody destroys by this what the log did not see destroyed, and nobody asks it of a server.
#[test]
fn only_what_was_destroyed_is_destroyed_again_and_only_at_the_machine() {
    let world = World::founded(&Token::empty("only_what_was_destroyed"));
    let mut prepared = prepare(&world, 1);
    prepared.found.again = vec![prepared.held.clone()];
    let refused = asked(&world, &prepared.found).unwrap().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::State, "{refused}");
    prepared.found.again.clear();
    let change = Change::Rebuild(Box::new(prepared.found));
    let command = Command::Change(change);
    let Answer::Told(Err(refused)) = world.ask("person/olga", None, command) else {
        panic!("a person rebuilds");
    };
    assert_eq!(refused.kind(), ErrorKind::Refused, "{refused}");
}

/// A version that was destroyed, and whose key is in the token again, beside one that is active.
fn prepare(world: &World, number: u32) -> Prepared {
    let (gone, held) = (key(number, "gone"), key(number, "held"));
    let create = Kind::CreateKey.prepare(world, held.slug().as_str());
    world.must(create);
    let schedule = Kind::ScheduleDestruction.prepare(world, gone.slug().as_str());
    world.must(schedule);
    world.clock().goes_on(60_000);
    let version = gone.version(1);
    world.round().expect("nobody dies");
    let view = world.view();
    let (destroyed, _) = view.version(&version).unwrap();
    assert_eq!(destroyed.state, State::Destroyed);
    world.plant(&destroyed.id);
    let mut uid = [0; 16];
    getrandom::fill(&mut uid).unwrap();
    let found = Found {
        name: RebuildName::fresh(&KeyUid(uid)).unwrap(),
        evidence: Evidence {
            entries: 1,
            values: 1,
            missing: 0,
            strange: 0,
        },
        again: vec![version.clone()],
        unproved: vec![(held.version(1), "a test".into())],
        later: vec![],
    };
    Prepared {
        found,
        gone: version,
        held: held.version(1),
    }
}

fn key(number: u32, what: &str) -> KeyName {
    format!("spaces/lab/keys/{what}-{number}").parse().unwrap()
}

/// `None`: the process died.
fn asked(world: &World, found: &Found) -> Option<kms_core::Result<()>> {
    let life = world.life();
    let call = Call {
        caller: Caller::Founder,
        id: Uuid::new_v4().to_string(),
        request: None,
    };
    let change = Command::Change(Change::Rebuild(Box::new(found.clone())));
    life.runtime.block_on(async {
        tokio::select! {
            result = life.engine.run(call, change) => Some(result.map(drop)),
            () = life.script.death() => None,
        }
    })
}

fn recorded(world: &World, name: &RebuildName) -> bool {
    world.view().get(&name.to_string()).is_some()
}

fn holds(world: &World, prepared: &Prepared, story: &str) {
    let view = world.view();
    let (gone, _) = view.version(&prepared.gone).unwrap();
    assert_eq!(gone.state, State::Destroyed, "{story}");
    assert_eq!(world.objects().get(&gone.id.to_string()), None, "{story}");
    let (held, _) = view.version(&prepared.held).unwrap();
    assert_eq!(held.state, State::Suspended, "{story}");
    assert!(
        world.objects().contains_key(&held.id.to_string()),
        "{story}"
    );
    invariants::hold(world, Orphans::Allowed);
}

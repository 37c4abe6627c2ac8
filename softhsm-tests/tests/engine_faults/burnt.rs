//! A change is given up, and whether its key is gone from the token is not known: its number is
//! never given out again, and nothing else waits for it.

use crate::invariants::{self, Orphans};
use crate::kind::{Kind, import, opens, seal};
use crate::world::{Answer, Token, World};
use kms_core::action::Action;
use kms_core::command::Change;
use kms_core::error::{Error, Kind as ErrorKind};
use kms_core::id::KeyId;
use kms_core::name::KeyName;
use kms_core::permit::{Permit, SystemOp};
use kms_core::state::State;
use kms_server::engine::Reply;
use kms_server::hsm::Hsm;
use softhsm_tests::script::Fault;
use uuid::Uuid;

/// The outside calls of a rotation: the store, the intention, the HSM; and the HSM again, when it
/// failed.
const GENERATE: usize = 2;

fn key() -> KeyName {
    "spaces/lab/keys/object".parse().unwrap()
}

fn asked(world: &World, change: &Change) -> Result<String, Error> {
    asked_again(world, Uuid::new_v4(), change)
}

fn asked_again(world: &World, request: Uuid, change: &Change) -> Result<String, Error> {
    match world.change(request, change) {
        Answer::Told(Ok(Reply::Resource(made) | Reply::Imported(made, _))) => Ok(made.value.name()),
        Answer::Told(Err(error)) => Err(error),
        other @ (Answer::Told(Ok(_)) | Answer::Died) => panic!("{other:?}"),
    }
}

fn id(world: &World, version: u32) -> KeyId {
    let view = world.view();
    let (key, _) = view.key(&key()).unwrap();
    KeyId {
        uid: key.uid,
        version,
    }
}

/// What a call that timed out does when it gets its turn at last.
fn destroyed_late(world: &World, version: u32) {
    let (id, permit) = (id(world, version), Permit::system(SystemOp::Recovery));
    let late = world.pool().destroy(&permit, &id);
    world.life().runtime.block_on(late).unwrap();
}

#[test]
fn a_late_destroy_finds_no_later_key() {
    let mut world = World::founded(&Token::empty("a_late_destroy"));
    let rotate = Kind::RotateKey.prepare(&world, "object");
    let mut burnt = 2;
    for generate in [Fault::NotDone, Fault::InDoubt] {
        for destroy in [Fault::NotDone, Fault::InDoubt] {
            for restart in [false, true] {
                let story = format!("{generate:?}, {destroy:?}, restart: {restart}");
                given_up(&world, &rotate, (generate, destroy), burnt);
                if restart {
                    world.reopen();
                }
                invariants::hold(&world, Orphans::Allowed);
                let next = key().version(burnt + 1).to_string();
                assert_eq!(asked(&world, &rotate).unwrap(), next, "{story}");
                destroyed_late(&world, burnt);
                let sealed = seal(&world, &key());
                assert!(opens(&world, &key(), sealed), "{story}");
                invariants::hold(&world, Orphans::Allowed);
                burnt += 2;
            }
        }
    }
}

/// A rotation of which the HSM does not make the key, or does not say so, and then does not take it
/// away, or does not say so.
fn given_up(world: &World, rotate: &Change, (generate, destroy): (Fault, Fault), number: u32) {
    let script = &world.life().script;
    if generate == Fault::NotDone {
        script.start([(GENERATE, generate), (GENERATE + 1, destroy)]);
        asked(world, rotate).unwrap_err();
    } else {
        script.start([(GENERATE, generate)]);
        asked(world, rotate).unwrap_err();
        // It is open, and the HSM is as deaf to the next go: the store, the HSM twice.
        let another = Kind::CreateSpace.prepare(world, &format!("space-{number}"));
        script.start([(1, Fault::NotDone), (2, destroy)]);
        asked(world, &another).unwrap();
    }
    let calls = script.stop();
    assert!(calls.iter().any(|c| c == "hsm.destroy"), "{calls:?}");
}

/// The HSM may only be slow: whoever needs it too waits, and what is open runs to its end.
#[test]
fn what_is_open_waits_for_the_hsm_at_a_start_and_for_a_change_that_needs_it() {
    let mut world = World::founded(&Token::empty("what_is_open_waits"));
    let rotate = Kind::RotateKey.prepare(&world, "object");
    for (restart, number) in [(true, 2), (false, 3)] {
        let request = Uuid::new_v4();
        if restart {
            world.life().script.start([(GENERATE, Fault::CrashBefore)]);
            assert!(matches!(world.change(request, &rotate), Answer::Died));
            // The logs thrice, the store six times, and the HSM.
            world.reopen_with(&[(9, Fault::NotDone)]);
        } else {
            world.life().script.start([(GENERATE, Fault::InDoubt)]);
            let unknown = asked_again(&world, request, &rotate).unwrap_err();
            assert_eq!(unknown.kind(), ErrorKind::Unknown);
            // The store, and the HSM.
            world.life().script.start([(1, Fault::NotDone)]);
            let waits = asked_again(&world, request, &rotate).unwrap_err();
            assert_eq!(waits.kind(), ErrorKind::Unavailable);
            world.life().script.stop();
        }
        assert!(world.life().script.has_failed("hsm.generate"));
        assert!(world.view().version(&key().version(number)).is_none());
        let made = asked_again(&world, request, &rotate).unwrap();
        assert_eq!(made, key().version(number).to_string());
        invariants::hold(&world, Orphans::None);
    }
}

/// The bleeding is stopped first, whatever the HSM makes of a change that it left open.
#[test]
fn a_suspension_does_not_wait_for_the_hsm() {
    let world = World::founded(&Token::empty("a_suspension_does_not_wait"));
    let rotate = Kind::RotateKey.prepare(&world, "object");
    world.life().script.start([(GENERATE, Fault::InDoubt)]);
    let unknown = asked(&world, &rotate).unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::Unknown);

    let suspend = Change::MoveVersion {
        name: key().version(1),
        etag: None,
        transition: Action::SuspendVersion,
        reason: "a test".into(),
        keep_processing: false,
    };
    // The store, and then the HSM twice: it neither makes the key nor takes it away.
    let deaf = [(1, Fault::NotDone), (2, Fault::NotDone)];
    world.life().script.start(deaf);
    asked(&world, &suspend).unwrap();
    let calls = world.life().script.stop();
    let expected = [
        "store.get",
        "hsm.generate",
        "hsm.destroy",
        "changes.append outcome",
        "store.get",
        "changes.append intention",
        "store.commit",
        "changes.append outcome",
    ];
    assert_eq!(calls, expected);
    let view = world.view();
    let (version, _) = view.version(&key().version(1)).unwrap();
    assert_eq!(version.state, State::Suspended);
    assert!(view.version(&key().version(2)).is_none());
    invariants::hold(&world, Orphans::Allowed);
}

/// The HSM may yet show what an import left: its token is spent, and a new one names another number.
#[test]
fn an_import_that_was_given_up_wants_new_parameters() {
    let mut world = World::founded(&Token::empty("an_import_given_up"));
    let first = Kind::ImportKey.prepare(&world, "object");
    // The store, the import token's code, its trials, the intention, the HSM.
    world.life().script.start([(4, Fault::InDoubt)]);
    let unknown = asked(&world, &first).unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::Unknown);
    // The store, the HSM twice.
    let deaf = [(1, Fault::NotDone), (2, Fault::NotDone)];
    world.life().script.start(deaf);
    let another = Kind::CreateSpace.prepare(&world, "another");
    asked(&world, &another).unwrap();
    world.life().script.stop();
    let spent = asked(&world, &first).unwrap_err();
    assert_eq!(spent.kind(), ErrorKind::Conflict);
    assert!(
        spent.message().contains("get new import parameters"),
        "{spent}"
    );
    for restart in [false, true] {
        if restart {
            world.reopen();
        }
        assert_eq!(
            asked(&world, &first).unwrap_err().kind(),
            ErrorKind::Conflict
        );
    }
    let again = import(&world, &key(), &[9; 32]);
    assert_eq!(asked(&world, &again).unwrap(), key().version(2).to_string());
    invariants::hold(&world, Orphans::Allowed);
}

/// What a crash in the middle of an import left, or somebody put there: it is not the key that was
/// asked for. Nothing waits for it for ever, nothing takes it for the key, and nobody destroys what
/// may be another's.
#[test]
fn an_import_is_given_up_where_the_token_shows_something_else() {
    let mut world = World::founded(&Token::empty("an_import_finds_something_else"));
    let first = Kind::ImportKey.prepare(&world, "object");
    world.life().script.start([(4, Fault::CrashBefore)]);
    assert!(matches!(world.change(Uuid::new_v4(), &first), Answer::Died));
    let foreign = id(&world, 1);
    world.plant(&foreign);
    world.reopen();
    let refused = asked(&world, &first).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict, "{refused}");
    let again = import(&world, &key(), &[9; 32]);
    assert_eq!(asked(&world, &again).unwrap(), key().version(2).to_string());
    let sealed = seal(&world, &key());
    assert!(opens(&world, &key(), sealed));
    assert_eq!(world.objects().get(&foreign.to_string()), Some(&1));
    invariants::hold(&world, Orphans::Allowed);
}

//! A deployment whose `init` fails at every outside call, and is made by the next one.

use crate::invariants::{self, Orphans};
use crate::script::Fault;
use crate::world::{Token, World};
use kms_core::name::IMPORT_TOKEN_KEY;

#[test]
fn founding() {
    let token = Token::empty("founding");
    for fault in Fault::ALL {
        let mut index = 0;
        while reached(&token, index, fault) {
            index += 1;
            assert!(index < 100, "founding has an end");
        }
        assert!(index > 10, "founding is several changes");
    }
}

/// One founding with one fault. Whether it made that many calls.
fn reached(token: &Token, index: usize, fault: Fault) -> bool {
    let mut world = World::empty(token);
    let story = format!("{fault:?} at call {index}");
    let done = world.found(&[(index, fault)]);
    let reached = world.life().script.stop().len() > index;
    assert_eq!(done, !reached, "{story}: a fault was not heard of");
    if !done {
        world.reopen();
        assert!(world.found(&[]), "{story}: init goes on where it was");
    }
    let view = world.view();
    assert!(view.deployment().is_some(), "{story}");
    let key = IMPORT_TOKEN_KEY.parse().unwrap();
    assert_eq!(view.versions(&key).len(), 1, "{story}");
    invariants::hold(&world, Orphans::None);
    assert!(
        !world.found(&[]),
        "{story}: init never changes a deployment"
    );
    world.kill();
    reached
}

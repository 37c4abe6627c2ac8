//! A deployment whose `init` fails at every outside call, and is made by the next one.

use crate::invariants::{self, Orphans};
use crate::world::{Token, World};
use kms_core::name::IMPORT_TOKEN_KEY;
use softhsm_tests::script::Fault;
use softhsm_tests::setting::full;

#[test]
fn founding() {
    let token = Token::empty("founding");
    // Every call fails in one way; in the long run each way at every call.
    let rounds = if full() { Fault::ALL.len() } else { 1 };
    for first in 0..rounds {
        let faults = Fault::ALL.into_iter().cycle().skip(first);
        let calls = (0..MOST)
            .zip(faults)
            .take_while(|(index, fault)| reached(&token, *index, *fault))
            .count();
        assert!(
            (10..MOST).contains(&calls),
            "founding is several changes: {calls}"
        );
    }
}

/// More outside calls than founding makes.
const MOST: usize = 100;

/// One founding with one fault. Whether it made that many calls.
fn reached(token: &Token, index: usize, fault: Fault) -> bool {
    let mut world = World::empty(token);
    let story = format!("{fault:?} at call {index}");
    let done = world.found(&[(index, fault)]);
    let reached = world.life().script.stop().len() > index;
    assert_eq!(done, !reached, "{story}: a fault was not heard of");
    if !done {
        world.reopen();
        // What was open when the process died may have been the last change.
        let made = world.view().deployment().is_some();
        assert_ne!(world.found(&[]), made, "{story}: init goes on where it was");
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

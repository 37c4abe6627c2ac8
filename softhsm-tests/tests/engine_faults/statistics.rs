//! How versions were used: whatever fails while it is kept, and whenever the process dies, the
//! numbers are those of the log.

use crate::kind::{Kind, opens, seal};
use crate::world::{Token, World};
use kms_core::command::{Command, LogName, Read};
use kms_core::name::{KeyName, VersionName};
use kms_core::record::Record;
use kms_core::usage::{Usage, Usages};
use kms_server::engine::Reply;
use kms_server::store::{Store as _, Write};
use softhsm_tests::script::Fault;

/// As the log tells it.
fn logged(world: &World, version: &VersionName) -> Option<Usage> {
    let mut usages = Usages::default();
    loop {
        let entries = Read::Entries {
            log: LogName::Uses,
            from: usages.place().next,
            limit: 1_000,
        };
        let Reply::Entries(page, next) = world.get("person/olga", Command::Read(entries)) else {
            panic!("entries were asked for");
        };
        for (_, bytes) in page {
            usages.feed(&Record::decode(&bytes).unwrap());
        }
        if next.is_none() {
            return usages.of(version).cloned();
        }
    }
}

fn told(world: &World, version: &VersionName) -> Option<Usage> {
    let read = Read::Usage(version.clone());
    let answer = world.get("person/olga", Command::Read(read));
    let Reply::Usage(told) = answer else {
        panic!("{answer:?}");
    };
    told.usage
}

fn used(world: &World, key: &KeyName) {
    let sealed = seal(world, key);
    assert!(opens(world, key, sealed));
}

/// Keeps what is counted, with a fault; how many outside calls that were.
fn kept(world: &World, faults: &[(usize, Fault)]) -> usize {
    let life = world.life();
    life.script.start(faults.iter().copied());
    life.runtime.block_on(async {
        tokio::select! {
            () = life.engine.keep_usage() => {}
            () = life.script.death() => {}
        }
    });
    life.script.stop().len()
}

#[test]
fn whatever_happens_while_it_is_kept_the_log_tells_the_numbers() {
    let mut world = World::founded(&Token::empty("statistics"));
    world.must(Kind::CreateKey.prepare(&world, "counted"));
    let key: KeyName = "spaces/lab/keys/counted".parse().unwrap();
    let version = key.version(1);
    assert_eq!(told(&world, &version), None);
    let mut uses = 0;
    for fault in Fault::ALL {
        let mut index = 0;
        loop {
            used(&world, &key);
            uses += 1;
            let calls = kept(&world, &[(index, fault)]);
            if !fault.is_crash() {
                // Nobody noticed: it goes on counting, and is kept the next time.
                used(&world, &key);
                uses += 1;
            }
            world.reopen();
            let usage = told(&world, &version).unwrap();
            assert_eq!((usage.protected, usage.processed), (uses, uses));
            assert_eq!(Some(usage), logged(&world, &version), "{fault:?} {index}");
            if calls <= index {
                break;
            }
            index += 1;
        }
        assert!(index >= 1, "nothing was kept");
    }
}

#[test]
fn what_cannot_be_read_is_counted_again() {
    let mut world = World::founded(&Token::empty("statistics_lost"));
    world.must(Kind::CreateKey.prepare(&world, "counted"));
    let key: KeyName = "spaces/lab/keys/counted".parse().unwrap();
    used(&world, &key);
    kept(&world, &[]);
    let life = world.life();
    let name = format!("local/usage/{}", key.version(1));
    let writes = [Write::Put(name, b"no usage".to_vec())];
    let committed = life.store.commit(&[], &writes);
    life.runtime.block_on(committed).unwrap();
    world.reopen();
    used(&world, &key);
    let usage = told(&world, &key.version(1)).unwrap();
    assert_eq!((usage.protected, usage.processed), (2, 2));
}

//! Random histories of a store, beside a map that does the same.

use std::collections::BTreeMap;

use kms_server::store::{Check, Entry, Revision, StoreError, Write};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

use super::{Place, absent, all, at, delete, entry, put};

/// Clause: all of the above, in any order.
pub async fn random_histories_agree_with_a_map<P: Place>() {
    let runtime = Handle::current();
    spawn_blocking(move || {
        let config = ProptestConfig {
            cases: 24,
            failure_persistence: None,
            ..ProptestConfig::default()
        };
        TestRunner::new(config)
            .run(&prop::collection::vec(step(), 1..40), |steps| {
                runtime.block_on(agrees::<P>(steps));
                Ok(())
            })
            .unwrap();
    })
    .await
    .unwrap();
}

#[derive(Debug, Clone)]
enum Step {
    Commit {
        checks: BTreeMap<String, Expect>,
        writes: BTreeMap<String, Option<Vec<u8>>>,
    },
    Scan(String, Option<String>, usize),
    Reopen,
}

/// What a check says; the revision is only known when it runs.
#[derive(Debug, Clone)]
enum Expect {
    Truth,
    Absent,
    Old(prop::sample::Index),
}

fn step() -> impl Strategy<Value = Step> {
    let key = || {
        prop::sample::select(vec!["a", "a/", "a/b", "a/b/c", "a0", "b", "~"])
            .prop_map(str::to_owned)
    };
    let expect = prop_oneof![
        8 => Just(Expect::Truth),
        1 => Just(Expect::Absent),
        1 => any::<prop::sample::Index>().prop_map(Expect::Old),
    ];
    let value = prop::option::weighted(0.7, prop::collection::vec(any::<u8>(), 0..40));
    prop_oneof![
        8 => (
            prop::collection::btree_map(key(), expect, 0..4),
            prop::collection::btree_map(key(), value, 1..5),
        ).prop_map(|(checks, writes)| Step::Commit { checks, writes }),
        4 => (
            prop_oneof![Just(String::new()), key()],
            prop::option::of(key()),
            1..5_usize,
        ).prop_map(|(prefix, after, limit)| Step::Scan(prefix, after, limit)),
        1 => Just(Step::Reopen),
    ]
}

async fn agrees<P: Place>(steps: Vec<Step>) {
    let mut place = P::new();
    let mut store = place.open().await;
    let mut model: BTreeMap<String, Entry> = BTreeMap::new();
    let mut given: Vec<Revision> = Vec::new();
    for step in steps {
        match step {
            Step::Commit { checks, writes } => {
                let checks: Vec<Check> = checks
                    .iter()
                    .map(|(key, expect)| match (expect, model.get(key)) {
                        (Expect::Truth, Some(entry)) => at(key, entry.revision),
                        (Expect::Old(index), _) if !given.is_empty() => at(key, *index.get(&given)),
                        (Expect::Truth, None) | (Expect::Absent | Expect::Old(_), _) => absent(key),
                    })
                    .collect();
                let expected = checks.iter().find(|check| match check {
                    Check::Absent(key) => model.contains_key(key),
                    Check::At(key, revision) => model
                        .get(key)
                        .is_none_or(|entry| entry.revision != *revision),
                });
                let batch: Vec<Write> = writes
                    .iter()
                    .map(|(key, value)| value.as_ref().map_or_else(|| delete(key), |v| put(key, v)))
                    .collect();
                match (expected, store.commit(&checks, &batch).await) {
                    (Some(check), Err(StoreError::Conflict { key })) => {
                        assert_eq!(check.key(), key);
                    }
                    (None, Ok(revision)) => {
                        assert!(given.last().is_none_or(|last| *last < revision));
                        given.push(revision);
                        for (key, value) in writes {
                            match value {
                                Some(value) => {
                                    model.insert(key.clone(), entry(&key, &value, revision));
                                }
                                None => drop(model.remove(&key)),
                            }
                        }
                    }
                    (expected, result) => panic!("{expected:?}, but {result:?}"),
                }
            }
            Step::Scan(prefix, after, limit) => {
                let expected: Vec<Entry> = model
                    .values()
                    .filter(|entry| entry.key.starts_with(&prefix))
                    .filter(|entry| after.as_ref().is_none_or(|after| entry.key > *after))
                    .take(limit)
                    .cloned()
                    .collect();
                assert_eq!(
                    store.scan(&prefix, after.as_deref(), limit).await,
                    Ok(expected)
                );
            }
            Step::Reopen => {
                drop(store);
                store = place.open().await;
            }
        }
        let entries: Vec<Entry> = model.values().cloned().collect();
        assert_eq!(all(&*store).await, entries);
    }
}

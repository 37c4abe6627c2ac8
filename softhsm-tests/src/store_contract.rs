//! What every store must do, whatever it is made of. An implementation says where one of its
//! stores lives ([`Place`]) and writes `store_contract!(ThatPlace);` in a test file.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails may say so by a panic"
)]

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kms_server::store::{
    Check, Entry, MAX_KEY, MAX_OPERATIONS, MAX_VALUE, Revision, Store, StoreError, Write,
};
use tokio::task::JoinSet;

mod history;

pub use history::random_histories_agree_with_a_map;

/// Where one store lives, empty at first.
pub trait Place: Sized + Send + 'static {
    /// A place of its own, where no store was made yet.
    fn new() -> Self;

    /// Opens the store, and makes it the first time. Whoever calls this again has dropped
    /// the one before.
    fn open(&mut self) -> impl Future<Output = Arc<dyn Store>>;
}

/// Runs the whole contract on one kind of [`Place`], a test for each clause.
#[macro_export]
macro_rules! store_contract {
    ($place:ty) => {
        $crate::store_contract! { $place:
            what_was_committed_is_read_also_after_opening_again
            a_failed_check_writes_nothing
            limits_are_kept_and_beyond_them_nothing_is_written
            a_scan_is_in_byte_order_behind_after_within_prefix
            a_key_never_has_a_revision_it_had_before
            of_concurrent_swaps_exactly_one_wins
            concurrent_counting_loses_nothing
            a_reader_sees_whole_commits
            random_histories_agree_with_a_map
        }
    };
    ($place:ty: $($clause:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $clause() {
                $crate::store_contract::$clause::<$place>().await;
            }
        )*
    };
}

fn put(key: &str, value: &[u8]) -> Write {
    Write::Put(key.to_owned(), value.to_vec())
}

fn delete(key: &str) -> Write {
    Write::Delete(key.to_owned())
}

fn absent(key: &str) -> Check {
    Check::Absent(key.to_owned())
}

fn at(key: &str, revision: Revision) -> Check {
    Check::At(key.to_owned(), revision)
}

fn entry(key: &str, value: &[u8], revision: Revision) -> Entry {
    Entry {
        key: key.to_owned(),
        value: value.to_vec(),
        revision,
    }
}

async fn all(store: &dyn Store) -> Vec<Entry> {
    store.scan("", None, usize::MAX).await.unwrap()
}

/// Clause: durable on return; a put has the revision of its commit, a deleted key is gone.
pub async fn what_was_committed_is_read_also_after_opening_again<P: Place>() {
    let mut place = P::new();
    let store = place.open().await;
    assert_eq!(store.get("spaces/nancy").await, Ok(None));
    let first = store
        .commit(&[], &[put("a", b"1"), put("b", b""), put("c", &[0, 255])])
        .await
        .unwrap();
    let second = store
        .commit(&[], &[put("b", b"2"), delete("c"), delete("never there")])
        .await;
    assert!(
        matches!(second, Err(StoreError::Invalid(_))),
        "a blank in a key"
    );
    let second = store
        .commit(&[], &[put("b", b"2"), delete("c"), delete("never-there")])
        .await
        .unwrap();
    let expected = vec![entry("a", b"1", first), entry("b", b"2", second)];
    assert_eq!(all(&*store).await, expected);
    drop(store);
    let store = place.open().await;
    assert_eq!(all(&*store).await, expected);
    assert_eq!(store.get("b").await, Ok(Some(entry("b", b"2", second))));
    assert_eq!(store.get("c").await, Ok(None));
}

/// Clause: all or nothing; the conflict names the first key that was not as expected.
pub async fn a_failed_check_writes_nothing<P: Place>() {
    let mut place = P::new();
    let store = place.open().await;
    let old = store.commit(&[], &[put("a", b"1")]).await.unwrap();
    let now = store
        .commit(
            &[at("a", old), absent("b")],
            &[put("a", b"2"), put("x", b"")],
        )
        .await
        .unwrap();
    let before = all(&*store).await;
    let failing = [
        (vec![absent("b"), absent("a")], "a"),
        (vec![at("a", old)], "a"),
        (vec![at("a", now), at("b", now)], "b"),
        (vec![at("a", now), absent("x"), at("b", now)], "x"),
    ];
    for (checks, culprit) in failing {
        let result = store
            .commit(&checks, &[put("a", b"3"), put("b", b"3"), delete("x")])
            .await;
        let key = culprit.to_owned();
        assert_eq!(result, Err(StoreError::Conflict { key }), "{checks:?}");
        assert_eq!(all(&*store).await, before, "{checks:?}");
    }
}

/// Clause: the limits of every store are the same.
pub async fn limits_are_kept_and_beyond_them_nothing_is_written<P: Place>() {
    let mut place = P::new();
    let store = place.open().await;
    let longest = "~".repeat(MAX_KEY);
    let mut full: Vec<Write> = (1..MAX_OPERATIONS)
        .map(|number| put(&format!("k{number}"), &[7; 100]))
        .collect();
    full.push(put(&longest, &vec![9; MAX_VALUE]));
    let checks: Vec<Check> = full.iter().map(|write| absent(write.key())).collect();
    let revision = store.commit(&checks, &full).await.unwrap();
    let before = all(&*store).await;
    assert_eq!(before.len(), MAX_OPERATIONS);
    assert!(before.iter().all(|entry| entry.revision == revision));

    let mut too_many = full.clone();
    too_many.push(put("one-more", b""));
    let too_many_checks: Vec<Check> = too_many.iter().map(|write| absent(write.key())).collect();
    let count = StoreError::TooManyOperations {
        operations: MAX_OPERATIONS + 1,
    };
    assert_eq!(store.commit(&[], &too_many).await, Err(count.clone()));
    assert_eq!(
        store.commit(&too_many_checks, &[put("a", b"")]).await,
        Err(count)
    );
    assert_eq!(
        store
            .commit(&[], &[put("a", b""), put("b", &vec![0; MAX_VALUE + 1])])
            .await,
        Err(StoreError::ValueTooLarge {
            key: "b".to_owned(),
            size: MAX_VALUE + 1
        })
    );
    let too_long = "k".repeat(MAX_KEY + 1);
    for key in [
        "",
        " ",
        "a b",
        "tab\t",
        "nul\0",
        "é",
        "line\n",
        too_long.as_str(),
    ] {
        let writes = [put("fine", b""), put(key, b"")];
        let invalid = |result| matches!(result, Err(StoreError::Invalid(_)));
        assert!(invalid(store.commit(&[], &writes).await), "{key:?}");
        assert!(
            invalid(store.commit(&[absent(key)], &writes[..1]).await),
            "{key:?}"
        );
        assert!(
            matches!(store.get(key).await, Err(StoreError::Invalid(_))),
            "{key:?}"
        );
    }
    let invalid = [
        (vec![], vec![]),
        (vec![], vec![put("a", b"1"), put("a", b"2")]),
        (vec![], vec![put("a", b"1"), delete("a")]),
        (vec![absent("a"), absent("a")], vec![put("a", b"1")]),
    ];
    for (checks, writes) in invalid {
        let result = store.commit(&checks, &writes).await;
        assert!(
            matches!(result, Err(StoreError::Invalid(_))),
            "{checks:?} {writes:?}"
        );
    }
    let no_entry = store.scan("", None, 0).await;
    assert!(matches!(no_entry, Err(StoreError::Invalid(_))));
    assert_eq!(all(&*store).await, before);
}

/// Clause: what a listing by pages needs.
pub async fn a_scan_is_in_byte_order_behind_after_within_prefix<P: Place>() {
    const NONE: [&str; 0] = [];
    let mut place = P::new();
    let store = place.open().await;
    let keys = ["Z", "a", "a/", "a/1", "a/10", "a/2", "a/~", "a0", "b", "~"];
    let writes: Vec<Write> = keys.iter().rev().map(|key| put(key, b"")).collect();
    store.commit(&[], &writes).await.unwrap();
    let scan = async |prefix: &str, after: Option<&str>, limit| -> Vec<String> {
        let entries = store.scan(prefix, after, limit).await.unwrap();
        entries.into_iter().map(|entry| entry.key).collect()
    };
    assert_eq!(scan("", None, 99).await, keys);
    assert_eq!(scan("a/", None, 99).await, &keys[2..7]);
    assert_eq!(scan("a/", Some("a/1"), 2).await, &keys[4..6]);
    assert_eq!(
        scan("a/", Some("a/11"), 99).await,
        &keys[5..7],
        "it need not be there"
    );
    assert_eq!(
        scan("a/", Some("Z"), 1).await,
        &keys[2..3],
        "before the prefix"
    );
    assert_eq!(scan("a/", Some("a/~"), 99).await, NONE);
    assert_eq!(scan("a/", Some("b"), 99).await, NONE, "behind the prefix");
    assert_eq!(scan("c", None, 99).await, NONE);
    let mut paged = Vec::new();
    while let Some(key) = scan("", paged.last().map(String::as_str), 1).await.pop() {
        paged.push(key);
    }
    assert_eq!(paged, keys);
}

/// Clause: revisions only grow, over deletions and over restarts.
pub async fn a_key_never_has_a_revision_it_had_before<P: Place>() {
    let mut place = P::new();
    let mut given = Vec::new();
    for round in 0..4 {
        let store = place.open().await;
        given.push(
            store
                .commit(&[absent("k")], &[put("k", b"")])
                .await
                .unwrap(),
        );
        given.push(store.commit(&[], &[delete("k")]).await.unwrap());
        if round % 2 == 0 {
            given.push(store.commit(&[], &[delete("k")]).await.unwrap());
        }
        assert!(all(&*store).await.is_empty());
    }
    assert!(given.is_sorted_by(|one, next| one < next), "{given:?}");
}

/// Clause: compare-and-swap.
pub async fn of_concurrent_swaps_exactly_one_wins<P: Place>() {
    let mut place = P::new();
    let store = place.open().await;
    let mut revision = store.commit(&[], &[put("k", b"")]).await.unwrap();
    for _ in 0..10 {
        let mut swaps = JoinSet::new();
        for number in 0..8_u8 {
            let store = Arc::clone(&store);
            swaps.spawn(async move {
                let won = store
                    .commit(&[at("k", revision)], &[put("k", &[number])])
                    .await;
                (number, won)
            });
        }
        let results = swaps.join_all().await;
        let won: Vec<(u8, Revision)> = results
            .iter()
            .filter_map(|(number, result)| Some((*number, *result.as_ref().ok()?)))
            .collect();
        let conflict = StoreError::Conflict {
            key: "k".to_owned(),
        };
        let lost = results
            .iter()
            .filter(|(_, result)| *result == Err(conflict.clone()));
        assert_eq!((won.len(), lost.count()), (1, 7), "{results:?}");
        let (number, now) = won[0];
        assert_eq!(store.get("k").await, Ok(Some(entry("k", &[number], now))));
        revision = now;
    }
}

/// Clause: compare-and-swap, tried again until it succeeds.
pub async fn concurrent_counting_loses_nothing<P: Place>() {
    let mut place = P::new();
    let store = place.open().await;
    store.commit(&[], &[put("n", b"0")]).await.unwrap();
    let mut counters = JoinSet::new();
    for _ in 0..4 {
        let store = Arc::clone(&store);
        counters.spawn(async move {
            let mut done = 0;
            while done < 20 {
                let now = store.get("n").await.unwrap().unwrap();
                let count: u32 = String::from_utf8(now.value).unwrap().parse().unwrap();
                let next = (count + 1).to_string();
                match store
                    .commit(&[at("n", now.revision)], &[put("n", next.as_bytes())])
                    .await
                {
                    Ok(_) => done += 1,
                    Err(StoreError::Conflict { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        });
    }
    counters.join_all().await;
    assert_eq!(store.get("n").await.unwrap().unwrap().value, b"80");
}

/// Clause: a commit is seen as a whole or not at all.
pub async fn a_reader_sees_whole_commits<P: Place>() {
    let mut place = P::new();
    let store = place.open().await;
    store
        .commit(&[], &[put("x", &[0]), put("y", &[0])])
        .await
        .unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let reader = tokio::spawn({
        let (store, done) = (Arc::clone(&store), Arc::clone(&done));
        async move {
            let mut seen = BTreeMap::new();
            while !done.load(Ordering::Relaxed) {
                let both = all(&*store).await;
                assert_eq!(
                    (&both[0].value, both[0].revision),
                    (&both[1].value, both[1].revision)
                );
                seen.insert(both[0].revision, ());
                tokio::task::yield_now().await;
            }
            seen.len()
        }
    });
    for number in 1..=100 {
        store
            .commit(&[], &[put("x", &[number]), put("y", &[number])])
            .await
            .unwrap();
    }
    done.store(true, Ordering::Relaxed);
    assert!(
        reader.await.unwrap() > 1,
        "the reader ran beside the writer"
    );
}

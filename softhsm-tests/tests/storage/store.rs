//! The contract of a store, kept by sled; and what is true of the embedded store alone.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use kms_server::store::{SledStore, Store, StoreError, Write};
use softhsm_tests::durability::is_log_entry;
use softhsm_tests::scaled;
use softhsm_tests::store_contract;
use softhsm_tests::store_contract::Place;
use softhsm_tests::wait::until;
use tempfile::TempDir;

use crate::process::{self, Child};

struct Embedded {
    root: TempDir,
}

impl Embedded {
    fn dir(&self) -> PathBuf {
        self.root.path().join("store")
    }
}

impl Place for Embedded {
    fn new() -> Self {
        Self {
            root: tempfile::tempdir().unwrap(),
        }
    }

    async fn open(&mut self) -> Arc<dyn Store> {
        let open = if self.dir().exists() {
            SledStore::open(&self.dir())
        } else {
            SledStore::create(&self.dir())
        };
        Arc::new(open.unwrap())
    }
}

store_contract!(Embedded);

#[tokio::test]
async fn a_store_that_is_not_there_is_not_made() {
    let place = Embedded::new();
    let lost = |result| match result {
        Err(StoreError::Unavailable(why)) => assert!(why.contains("is its disk mounted"), "{why}"),
        other => panic!("{other:?}"),
    };
    lost(SledStore::open(&place.dir()));
    assert!(!place.dir().exists());
    fs::create_dir(place.dir()).unwrap();
    lost(SledStore::open(&place.dir()));
    assert_eq!(fs::read_dir(place.dir()).unwrap().count(), 0);
    drop(SledStore::create(&place.dir()).unwrap());
    fs::remove_file(place.dir().join("db")).unwrap();
    lost(SledStore::open(&place.dir()));
}

#[tokio::test]
async fn a_store_is_made_in_a_place_of_its_own() {
    let place = Embedded::new();
    let store = SledStore::create(&place.dir()).unwrap();
    store
        .commit(&[], &[Write::Put("k".into(), vec![1])])
        .await
        .unwrap();
    drop(store);
    let again = SledStore::create(&place.dir());
    assert!(matches!(again, Err(StoreError::Unavailable(why)) if why.contains("not empty")));
    let store = SledStore::open(&place.dir()).unwrap();
    assert_eq!(store.get("k").await.unwrap().unwrap().value, [1]);
}

#[tokio::test]
async fn one_process_has_the_store() {
    let place = Embedded::new();
    let store = SledStore::create(&place.dir()).unwrap();
    match SledStore::open(&place.dir()) {
        Err(StoreError::Unavailable(why)) => assert!(why.contains("stop that server"), "{why}"),
        other => panic!("{other:?}"),
    }
    store
        .commit(&[], &[Write::Put("k".into(), vec![1])])
        .await
        .unwrap();
}

#[test]
fn what_another_program_left_is_not_taken_for_a_store() {
    let place = Embedded::new();
    drop(SledStore::create(&place.dir()).unwrap());
    for (what, bytes) in [("empty", vec![]), ("noise", vec![0xa5; 1 << 20])] {
        fs::write(place.dir().join("db"), bytes).unwrap();
        let opened = until("sled's file again", || {
            match SledStore::open(&place.dir()) {
                Err(StoreError::Unavailable(_)) => None,
                other => Some(other),
            }
        });
        assert!(
            matches!(opened, Err(StoreError::Corrupt(_))),
            "{what}: {opened:?}"
        );
    }
    fs::remove_dir_all(place.dir()).unwrap();
    drop(sled::open(place.dir()).unwrap());
    let foreign = SledStore::open(&place.dir());
    assert!(
        matches!(foreign, Err(StoreError::Corrupt(_))),
        "{foreign:?}"
    );
}

#[tokio::test]
async fn documents_do_not_show_in_debug() {
    let write = Write::Put("k".into(), b"canary".to_vec());
    let mut place = Embedded::new();
    let store = place.open().await;
    store
        .commit(&[], std::slice::from_ref(&write))
        .await
        .unwrap();
    let shown = format!("{write:?} {:?} {store:?}", store.get("k").await);
    assert!(shown.contains("[6 bytes]"), "{shown}");
    assert!(
        !shown.contains("canary") && !shown.contains("99, 97"),
        "{shown}"
    );
}

#[tokio::test]
async fn no_acknowledged_commit_is_lost_by_a_kill() {
    let place = Embedded::new();
    drop(SledStore::create(&place.dir()).unwrap());
    let mut expected: BTreeMap<String, String> = BTreeMap::new();
    for run in 0..scaled(60) {
        let told = Child::start("store", &place.dir(), run).kill_after_random_lines(400);
        let mut newest = BTreeMap::new();
        for line in told {
            let (key, value) = line.split_once(' ').unwrap();
            newest.insert(key.to_owned(), value.to_owned());
        }
        expected.extend(newest);
        let store = SledStore::open(&place.dir()).unwrap();
        for (key, value) in &expected {
            let found = store.get(key).await.unwrap();
            let found = found.unwrap_or_else(|| panic!("{key} is lost"));
            // The task may have gone on by one commit that it could not tell any more.
            let number = |value: &str| -> (u32, u64) {
                let mut parts = value.split('-');
                let mut next = || parts.next().unwrap().to_owned();
                (next().parse().unwrap(), next().parse().unwrap())
            };
            let found = number(std::str::from_utf8(&found.value).unwrap());
            let told = number(value);
            let newer = key.starts_with("task/") && found > told;
            assert!(found == told || newer, "{key}: {found:?}, told {told:?}");
        }
        // Both keys of a commit or neither.
        for entry in store.scan("task/", None, 100).await.unwrap() {
            let task = entry.key.trim_start_matches("task/");
            let text = String::from_utf8(entry.value.clone()).unwrap();
            let mut parts = text.split('-');
            let (run, number) = (parts.next().unwrap(), parts.next().unwrap());
            let once = store
                .get(&format!("once/{run}/{task}/{number}"))
                .await
                .unwrap();
            assert_eq!(
                once.map(|once| once.revision),
                Some(entry.revision),
                "{}",
                entry.key
            );
        }
    }
    assert!(expected.len() > 100, "{} commits only", expected.len());
}

#[test]
fn a_full_disk_stops_commits_and_loses_none() {
    let told = process::on_small_disk("48m", "full-store");
    assert!(told.contains("recovered"), "{told}");
}

#[tokio::test]
async fn a_write_that_fails_under_sled_closes_the_store_and_loses_no_commit() {
    let place = Embedded::new();
    drop(SledStore::create(&place.dir()).unwrap());
    let told = process::with_largest_file(2 << 20, "failing-store", &place.dir());
    assert!(told.lines().count() > 10, "{told}");
    let store = SledStore::open(&place.dir()).unwrap();
    for key in told.lines() {
        let value = store.get(key).await.unwrap().unwrap().value;
        assert_eq!(value, "x".repeat(30_000).into_bytes(), "{key}");
    }
    assert_eq!(store.get("other").await, Ok(None));
}

/// Pages that sled keeps in files of their own are never synced: there must be none.
#[tokio::test]
async fn nothing_is_kept_outside_the_file_that_is_synced() {
    let place = Embedded::new();
    let store = SledStore::create(&place.dir()).unwrap();
    for round in 0..3 {
        for number in 0..40 {
            let key = format!("{number:0>512}");
            let value = vec![number + round; 64 * 1024];
            store.commit(&[], &[Write::Put(key, value)]).await.unwrap();
        }
    }
    drop(store);
    assert_eq!(fs::read_dir(place.dir().join("blobs")).unwrap().count(), 0);
    let store = SledStore::open(&place.dir()).unwrap();
    for entry in store.scan("", None, 100).await.unwrap() {
        let number: u8 = entry.key.parse().unwrap();
        assert_eq!(entry.value, vec![number + 2; 64 * 1024]);
    }
}

#[tokio::test]
async fn a_shorter_value_leaves_nothing_of_the_longer_one() {
    let mut place = Embedded::new();
    let store = place.open().await;
    for length in [64 * 1024, 0, 2048, 2049, 1, 10_000] {
        let put = Write::Put("k".into(), vec![7; length]);
        store.commit(&[], &[put]).await.unwrap();
        store
            .commit(&[], &[Write::Put("k!".into(), vec![8; length])])
            .await
            .unwrap();
    }
    store
        .commit(&[], &[Write::Delete("k!".into())])
        .await
        .unwrap();
    drop(store);
    let db = sled::open(place.dir()).unwrap();
    assert_eq!(
        db.scan_prefix("e/").count(),
        5,
        "five pieces of 10,000 bytes"
    );
    drop(db);
    let store = place.open().await;
    assert_eq!(
        store.get("k").await.unwrap().unwrap().value,
        vec![7; 10_000]
    );
    assert_eq!(store.get("k!").await, Ok(None));
}

#[test]
fn an_entry_that_lost_a_piece_is_damage() {
    let place = Embedded::new();
    for lost in [&b"e/k\0\0"[..], b"e/k\0\x01", b"e/k\0\x04"] {
        if place.dir().exists() {
            fs::remove_dir_all(place.dir()).unwrap();
        }
        let store = SledStore::create(&place.dir()).unwrap();
        let put = Write::Put("k".into(), vec![7; 10_000]);
        let after = Write::Put("l".into(), vec![7; 10_000]);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(store.commit(&[], &[put, after])).unwrap();
        drop(store);
        // sled's threads give its file back when they have ended, a little later.
        let db = until("sled's file", || sled::open(place.dir()).ok());
        assert!(db.remove(lost).unwrap().is_some());
        drop(db);
        let opened = SledStore::open(&place.dir());
        assert!(
            matches!(opened, Err(StoreError::Corrupt(_))),
            "{lost:?}: {opened:?}"
        );
    }
}

#[test]
fn each_commit_reaches_the_disk_before_it_returns() {
    let place = Embedded::new();
    drop(SledStore::create(&place.dir()).unwrap());
    let log = place.root.path().join("log");
    drop(kms_server::audit::Log::create(&log, is_log_entry).unwrap());
    let trace = process::trace("slowly", place.root.path());
    process::assert_synced(&trace, "committed", "/store/db>");
    process::assert_synced(&trace, "recorded", ".log>");
}

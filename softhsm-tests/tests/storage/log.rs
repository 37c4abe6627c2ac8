//! The logs as a process has them: killed under load, on a full disk, with many callers.

use std::collections::BTreeMap;
use std::sync::Arc;

use kms_server::audit::Log;
use softhsm_tests::durability::{is_log_entry, log_entry};
use softhsm_tests::scaled;
use tokio::task::JoinSet;

use crate::process::{self, Child};

#[tokio::test]
async fn no_acknowledged_entry_is_lost_by_a_kill() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("log");
    drop(Log::create(&dir, is_log_entry).unwrap());
    let mut told: BTreeMap<u64, String> = BTreeMap::new();
    for run in 0..scaled(60) {
        for line in Child::start("log", &dir, run).kill_after_random_lines(3000) {
            let (index, text) = line.split_once(' ').unwrap();
            let before = told.insert(index.parse().unwrap(), text.to_owned());
            assert_eq!(before, None, "index {index} was given twice");
        }
        let log = Log::open(&dir, is_log_entry).unwrap();
        let mut next = 0;
        while next < log.len() {
            for (index, entry) in log.read(next, 1000).await.unwrap() {
                assert_eq!(index, next);
                if let Some(text) = told.get(&index) {
                    assert_eq!(entry, log_entry(index, text));
                }
                next += 1;
            }
        }
        let last = told.last_key_value().map(|(index, _)| *index);
        assert!(
            last.is_none_or(|last| last < next),
            "{last:?} was told, {next} are there"
        );
    }
    assert!(told.len() > 100, "{} entries only", told.len());
}

#[test]
fn a_full_disk_stops_the_log_and_loses_nothing() {
    let told = process::on_small_disk("1m", "full-log");
    assert!(told.contains("recovered"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_entries_share_a_sync() {
    let root = tempfile::tempdir().unwrap();
    let log = Arc::new(Log::create(&root.path().join("log"), is_log_entry).unwrap());
    let mut tasks = JoinSet::new();
    for task in 0..64 {
        let log = Arc::clone(&log);
        tasks.spawn(async move {
            for number in 0..20 {
                let text = format!("{task}-{number}");
                log.append(move |index| log_entry(index, &text))
                    .await
                    .unwrap();
            }
        });
    }
    tasks.join_all().await;
    assert_eq!(log.len(), 64 * 20);
    assert!(log.syncs() * 4 < log.len(), "{} syncs", log.syncs());

    let mut next = BTreeMap::new();
    for (_, entry) in log.read(0, 64 * 20).await.unwrap() {
        let entry = String::from_utf8(entry).unwrap();
        let (_, text) = entry.trim_end_matches("\"}").rsplit_once('"').unwrap();
        let (task, number) = text.split_once('-').unwrap();
        let expected = next.entry(task.to_owned()).or_insert(0);
        assert_eq!(
            number.parse(),
            Ok(*expected),
            "task {task} in its own order"
        );
        *expected += 1;
    }
}

#[tokio::test]
async fn an_entry_is_recorded_also_when_its_caller_goes_away() {
    let root = tempfile::tempdir().unwrap();
    let log = Log::create(&root.path().join("log"), is_log_entry).unwrap();
    {
        let mut append = Box::pin(log.append(|index| log_entry(index, "left")));
        assert!(futures::poll!(&mut append).is_pending());
    }
    assert_eq!(log.append(|index| log_entry(index, "stayed")).await, Ok(1));
    let first = log.read(0, 1).await.unwrap();
    assert_eq!(first, vec![(0, log_entry(0, "left"))]);
}

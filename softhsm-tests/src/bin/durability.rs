//! The processes that the durability tests kill, trace, or run on a full disk. Each line on
//! its standard output is an acknowledgement: what it tells was durable before.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a process of the tests: it fails loudly, and measures real time"
)]

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use clap::{Parser, ValueEnum};
use kms_server::audit::{Log, LogError};
use kms_server::store::{SledStore, Store, StoreError, Write};
use softhsm_tests::durability::{is_log_entry, log_entry};
use tokio::task::JoinSet;

/// Durability, seen from outside.
#[derive(Parser)]
struct Cli {
    #[arg(value_enum)]
    scene: Scene,
    /// Where the store or log is, or will be made.
    dir: PathBuf,
    /// Tells the runs of one test apart, in their order.
    #[arg(long, default_value_t = 0)]
    run: u32,
}

#[derive(Clone, Copy, ValueEnum)]
enum Scene {
    /// Commit from 8 tasks until killed; prints `key value` of what was committed.
    Store,
    /// Append from 16 tasks until killed; prints `index text` of what was recorded.
    Log,
    /// Commit 20 times to a store and append 20 times to a log, one after the other.
    Slowly,
    /// Fill the disk under a log, then free some of it.
    FullLog,
    /// Fill the disk under a store, then free some of it.
    FullStore,
    /// Commit until the disk refuses a write, then try on; prints the keys committed.
    FailingStore,
    /// Print rates of appends and commits at 1, 8 and 32 callers.
    Rates,
}

#[tokio::main]
async fn main() {
    let Cli { scene, dir, run } = Cli::parse();
    match scene {
        Scene::Store => commit_until_killed(&dir, run).await,
        Scene::Log => append_until_killed(&dir, run).await,
        Scene::Slowly => slowly(&dir).await,
        Scene::FullLog => full_log(&dir).await,
        Scene::FullStore => full_store(&dir).await,
        Scene::FailingStore => failing_store(&dir).await,
        Scene::Rates => rates(&dir).await,
    }
}

/// One `write` of one line: a reader sees all of it or nothing.
fn say(line: &str) {
    std::io::stdout()
        .lock()
        .write_all(format!("{line}\n").as_bytes())
        .unwrap();
}

fn put(key: &str, value: &str) -> Write {
    Write::Put(key.to_owned(), value.as_bytes().to_vec())
}

async fn commit_until_killed(dir: &Path, run: u32) {
    let store = Arc::new(SledStore::open(dir).unwrap());
    let mut tasks = JoinSet::new();
    for task in 0..8 {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            for number in 0_u64.. {
                // Some keys are written again and again, some once.
                let keys = [
                    format!("task/{task}"),
                    format!("once/{run}/{task}/{number}"),
                ];
                let value = format!("{run}-{number}-{}", "x".repeat(600));
                let writes = [put(&keys[0], &value), put(&keys[1], &value)];
                store.commit(&[], &writes).await.unwrap();
                say(&format!("{} {value}\n{} {value}", keys[0], keys[1]));
            }
        });
    }
    tasks.join_all().await;
}

async fn append_until_killed(dir: &Path, run: u32) {
    let log = Arc::new(Log::open(dir, is_log_entry).unwrap());
    let mut tasks = JoinSet::new();
    for task in 0..16 {
        let log = Arc::clone(&log);
        tasks.spawn(async move {
            for number in 0_u64.. {
                let text = format!("{run}-{task}-{number}-{}", "x".repeat(500));
                let entry = text.clone();
                let index = log
                    .append(move |index| log_entry(index, &entry))
                    .await
                    .unwrap();
                say(&format!("{index} {text}"));
            }
        });
    }
    tasks.join_all().await;
}

async fn slowly(dir: &Path) {
    let store = SledStore::open(&dir.join("store")).unwrap();
    let log = Log::open(&dir.join("log"), is_log_entry).unwrap();
    for number in 0..20 {
        store
            .commit(&[], &[put("k", &number.to_string())])
            .await
            .unwrap();
        say(&format!("committed {number}"));
        log.append(move |index| log_entry(index, "slow"))
            .await
            .unwrap();
        say(&format!("recorded {number}"));
    }
}

/// Takes disk space, to give it back later.
fn ballast(dir: &Path, bytes: usize) -> PathBuf {
    let path = dir.join("ballast");
    fs::write(&path, vec![1; bytes]).unwrap();
    path
}

async fn full_log(dir: &Path) {
    let ballast = ballast(dir, 256 * 1024);
    let place = dir.join("log");
    let log = Arc::new(Log::create(&place, is_log_entry).unwrap());
    let append = async |log: &Log| {
        log.append(|index| log_entry(index, &"x".repeat(3000)))
            .await
    };
    let mut recorded = 0;
    let refused = loop {
        match append(&log).await {
            Ok(index) => assert_eq!(index, recorded),
            Err(error) => break error,
        }
        recorded += 1;
    };
    assert!(matches!(refused, LogError::Unavailable(_)), "{refused:?}");
    assert!(recorded > 100, "{recorded}");

    // While it is full: everybody is refused, nothing grows, nothing is lost.
    let mut tasks = JoinSet::new();
    for _ in 0..32 {
        let log = Arc::clone(&log);
        tasks.spawn(async move {
            log.append(|index| log_entry(index, &"y".repeat(60_000)))
                .await
        });
    }
    for result in tasks.join_all().await {
        assert!(
            matches!(result, Err(LogError::Unavailable(_))),
            "{result:?}"
        );
    }
    assert_eq!(log.len(), recorded);
    assert_eq!(read_all(&log).await, recorded);

    fs::remove_file(ballast).unwrap();
    for _ in 0..20 {
        assert_eq!(append(&log).await, Ok(recorded), "it recovers by itself");
        recorded += 1;
    }
    drop(log);
    let log = Log::open(&place, is_log_entry).unwrap();
    assert_eq!(read_all(&log).await, recorded);
    say(&format!("recovered {recorded}"));
}

async fn read_all(log: &Log) -> u64 {
    let mut next = 0;
    loop {
        let read = log.read(next, 100).await.unwrap();
        if read.is_empty() {
            return next;
        }
        for (index, entry) in read {
            assert!(index == next && is_log_entry(index, &entry));
            next += 1;
        }
    }
}

async fn full_store(dir: &Path) {
    let ballast = ballast(dir, 8 * 1024 * 1024);
    let place = dir.join("store");
    let store = SledStore::create(&place).unwrap();
    let value = |number: u64| format!("{number} {}", "x".repeat(30_000));
    let key = |number: u64| format!("k/{number:06}");
    let mut committed = 0;
    let failed = loop {
        match store
            .commit(&[], &[put(&key(committed), &value(committed))])
            .await
        {
            Ok(_) => committed += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(failed, StoreError::Unavailable(_)), "{failed:?}");
    assert!(committed > 10, "{committed}");
    let next = store.commit(&[], &[put("other", "")]).await;
    assert!(matches!(next, Err(StoreError::Unavailable(_))), "{next:?}");
    let read = store.get("other").await;
    assert_eq!(read, Ok(None), "reading goes on");

    fs::remove_file(ballast).unwrap();
    store.commit(&[], &[put("other", "")]).await.unwrap();
    drop(store);
    let store = SledStore::open(&place).unwrap();
    for number in 0..committed {
        let entry = store.get(&key(number)).await.unwrap().unwrap();
        assert_eq!(entry.value, value(number).into_bytes());
    }
    assert!(store.get("other").await.unwrap().is_some());
    say(&format!("recovered {committed}"));
}

async fn failing_store(dir: &Path) {
    let store = SledStore::open(dir).unwrap();
    for number in 0_u64.. {
        let key = format!("k/{number:06}");
        let value = "x".repeat(30_000);
        match store.commit(&[], &[put(&key, &value)]).await {
            Ok(_) => say(&key),
            Err(error) => {
                assert!(matches!(error, StoreError::Unknown(_)), "{error:?}");
                break;
            }
        }
    }
    let next = store.commit(&[], &[put("other", "")]).await;
    assert!(matches!(next, Err(StoreError::Unavailable(_))), "{next:?}");
    let read = store.get("other").await;
    assert!(matches!(read, Err(StoreError::Unavailable(_))), "{read:?}");
}

async fn rates(dir: &Path) {
    for callers in [1, 8, 32] {
        let place = dir.join(format!("log-{callers}"));
        let log = Arc::new(Log::create(&place, is_log_entry).unwrap());
        let begin = Instant::now();
        let mut tasks = JoinSet::new();
        for _ in 0..callers {
            let log = Arc::clone(&log);
            tasks.spawn(async move {
                for _ in 0..20_000 / callers {
                    log.append(|index| log_entry(index, &"x".repeat(700)))
                        .await
                        .unwrap();
                }
            });
        }
        tasks.join_all().await;
        let rate = f64::from(u32::try_from(log.len()).unwrap()) / begin.elapsed().as_secs_f64();
        say(&format!(
            "log, 700 B, {callers:2} callers: {rate:7.0} entries/s, {:.1} for each fdatasync",
            f64::from(u32::try_from(log.len()).unwrap())
                / f64::from(u32::try_from(log.syncs()).unwrap()),
        ));
    }
    let store = SledStore::create(&dir.join("store")).unwrap();
    let begin = Instant::now();
    for number in 0..2000 {
        let key = format!("k/{}", number % 200);
        store
            .commit(&[], &[put(&key, &"x".repeat(2000))])
            .await
            .unwrap();
    }
    let rate = 2000.0 / begin.elapsed().as_secs_f64();
    say(&format!("store, 2 kB,  1 caller:  {rate:7.0} commits/s"));
}

//! The log against torn writes, lost bytes and a disk that fails on demand. What needs a
//! process of its own (kill, a full disk) is in `softhsm-tests/tests/audit_log.rs`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a test that fails may say so by a panic"
)]

mod faults;
mod torn;

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use tempfile::TempDir;

use super::{Log, LogError};
use kms_core::frame::{self, Frame};

const FIRST_SEGMENT: &str = "00000000000000000000.log";

/// An entry of the tests: it tells its index, as a record does.
fn entry(index: u64) -> Vec<u8> {
    format!("{{\"sequence\":{index},\"text\":\"{index:x}\"}}").into_bytes()
}

fn check(index: u64, bytes: &[u8]) -> bool {
    bytes == entry(index)
}

fn place() -> (TempDir, PathBuf) {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("log");
    (root, dir)
}

async fn fill(log: &Log, count: u64) {
    for _ in 0..count {
        log.append(entry).await.unwrap();
    }
}

async fn holds(log: &Log, count: u64) {
    assert_eq!(log.len(), count);
    let mut next = 0;
    while next < count {
        let read = log.read(next, 1000).await.unwrap();
        assert!(!read.is_empty(), "nothing at {next} of {count}");
        for (index, bytes) in read {
            assert_eq!((index, bytes), (next, entry(next)));
            next += 1;
        }
    }
    assert_eq!(log.read(count, 10).await.unwrap(), vec![]);
}

fn set_mark(dir: &Path, count: u64) {
    fs::write(dir.join("mark"), count.to_be_bytes()).unwrap();
}

fn mark(dir: &Path) -> u64 {
    u64::from_be_bytes(fs::read(dir.join("mark")).unwrap().try_into().unwrap())
}

fn damaged(dir: &Path) -> String {
    match Log::open(dir, check) {
        Err(LogError::Damaged(why)) => why,
        other => panic!("{other:?}"),
    }
}

proptest! {
    #[test]
    fn what_is_framed_is_parsed_and_every_cut_is_noticed(
        entries in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..600), 0..20),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = Vec::new();
        for entry in &entries {
            prop_assert!(frame::push(&mut bytes, entry));
        }
        let parse = |mut bytes| {
            let mut parsed = Vec::new();
            while let Frame::Whole { entry, rest } = frame::first(bytes) {
                parsed.push(entry.to_vec());
                bytes = rest;
            }
            (parsed, bytes.len())
        };
        prop_assert_eq!(parse(&bytes), (entries.clone(), 0));

        let cut = cut.index(bytes.len() + 1);
        let (parsed, left) = parse(&bytes[..cut]);
        prop_assert_eq!(&parsed[..], &entries[..parsed.len()]);
        let whole: usize = parsed.iter().map(|entry| entry.len() + 2).sum();
        prop_assert_eq!(whole + left, cut);
        prop_assert!(parsed.len() == entries.len() || left < entries[parsed.len()].len() + 2);
    }

    #[test]
    fn no_bytes_confuse_the_parser(bytes in prop::collection::vec(any::<u8>(), 0..70_000)) {
        match frame::first(&bytes) {
            Frame::Whole { entry, rest } => {
                let mut again = Vec::new();
                prop_assert!(frame::push(&mut again, entry));
                again.extend_from_slice(rest);
                prop_assert_eq!(again, bytes);
            }
            Frame::Empty => prop_assert!(bytes.starts_with(&[0, 0])),
            Frame::Short => prop_assert!(
                bytes.len() < 2 || bytes.len() < 2 + usize::from(bytes[0]) * 256 + usize::from(bytes[1])
            ),
        }
    }
}

#[test]
fn an_entry_has_1_to_65535_bytes() {
    let mut bytes = vec![7];
    assert!(!frame::push(&mut bytes, &[]));
    assert!(!frame::push(&mut bytes, &vec![1; 65_536]));
    assert_eq!(bytes, [7]);
    assert!(frame::push(&mut bytes, &vec![1; 65_535]));
    assert_eq!(bytes[..4], [7, 0xff, 0xff, 1]);
}

#[tokio::test]
async fn a_log_is_made_once_and_opened_by_one() {
    let (_root, dir) = place();
    assert!(
        matches!(Log::open(&dir, check), Err(LogError::NotOpened(why)) if why.contains("mounted"))
    );
    assert!(!dir.exists(), "opening makes nothing");
    let log = Log::create(&dir, check).unwrap();
    assert!(log.is_empty());
    assert!(
        matches!(Log::open(&dir, check), Err(LogError::NotOpened(why)) if why.contains("another process"))
    );
    fill(&log, 3).await;
    drop(log);
    assert!(
        matches!(Log::create(&dir, check), Err(LogError::NotOpened(why)) if why.contains("not empty"))
    );
    holds(&Log::open(&dir, check).unwrap(), 3).await;
}

#[tokio::test]
async fn a_creation_that_was_cut_short_is_begun_again() {
    let (root, dir) = place();
    fs::create_dir(root.path().join("log.new")).unwrap();
    fs::write(root.path().join("log.new/mark"), [0]).unwrap();
    assert!(matches!(
        Log::open(&dir, check),
        Err(LogError::NotOpened(_))
    ));
    fill(&Log::create(&dir, check).unwrap(), 1).await;
    assert!(!root.path().join("log.new").exists());
}

#[tokio::test]
async fn what_the_log_would_not_read_back_is_not_written() {
    let (_root, dir) = place();
    let log = Log::create(&dir, |_, bytes| bytes != b"foreign").unwrap();
    let invalid = |result| matches!(result, Err(LogError::Invalid(_)));
    assert!(invalid(log.append(|_| b"foreign".to_vec()).await));
    assert!(invalid(log.append(|_| vec![]).await));
    assert!(invalid(log.append(|_| vec![b'x'; 65_536]).await));
    assert!(invalid(log.append(|_| panic!("a broken caller")).await));
    assert_eq!(log.len(), 0);
    assert_eq!(
        log.append(|_| vec![b'x'; 65_535]).await,
        Ok(0),
        "the log goes on, without a gap"
    );
    assert_eq!(log.read(0, 9).await, Ok(vec![(0, vec![b'x'; 65_535])]));
}

#[tokio::test]
async fn a_segment_that_cannot_be_opened_is_tried_again() {
    let (_root, dir) = place();
    let log = Log::create(&dir, check).unwrap();
    let in_the_way = dir.join(FIRST_SEGMENT);
    fs::create_dir(&in_the_way).unwrap();
    assert!(matches!(
        log.append(entry).await,
        Err(LogError::Unavailable(_))
    ));
    fs::remove_dir(&in_the_way).unwrap();
    assert_eq!(log.append(entry).await, Ok(0));
}

#[tokio::test]
async fn a_recorded_entry_that_cannot_be_read_is_an_error() {
    let (_root, dir) = place();
    let log = Log::create(&dir, check).unwrap();
    fill(&log, 600).await;
    let file = OpenOptions::new()
        .write(true)
        .open(dir.join(FIRST_SEGMENT))
        .unwrap();
    let length = file.metadata().unwrap().len();
    File::set_len(&file, length - 1).unwrap();
    assert_eq!(log.read(500, 99).await.unwrap().len(), 99);
    assert!(matches!(
        log.read(500, 1000).await,
        Err(LogError::Damaged(_))
    ));
    assert!(matches!(log.read(599, 1).await, Err(LogError::Damaged(_))));
}

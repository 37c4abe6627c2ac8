//! The log against torn writes, lost bytes and a disk that fails on demand. What needs a
//! process of its own (kill, a full disk) is in `softhsm-tests/tests/audit_log.rs`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a test that fails may say so by a panic"
)]

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use tempfile::TempDir;

use super::disk::{Disk, RealDisk, Tail};
use super::frame::{self, Frame};
use super::segment::ENTRIES;
use super::{Log, LogError};

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
async fn a_write_torn_at_any_byte_is_cut_off_behind_the_mark() {
    let (_root, dir) = place();
    let log = Log::create(&dir, check).unwrap();
    fill(&log, 6).await;
    drop(log);
    let whole = fs::read(dir.join(FIRST_SEGMENT)).unwrap();
    let ends: Vec<usize> = (0..=6)
        .map(|count| (0..count).map(|index| entry(index).len() + 2).sum())
        .collect();

    for cut in ends[3]..whole.len() {
        let kept = ends.iter().rposition(|end| *end <= cut).unwrap() as u64;
        let torn = &whole[..cut];
        let zeros = [torn, &vec![0; 4096]].concat();
        let noise = [torn, &vec![0xa5; whole.len() - cut]].concat();
        // Blocks reach the disk in any order: the tail may be there without its beginning.
        let mut hole = whole.clone();
        hole[cut] ^= 0x40;
        for (what, bytes) in [
            ("short", torn),
            ("zeros", &zeros),
            ("noise", &noise),
            ("hole", &hole),
        ] {
            fs::write(dir.join(FIRST_SEGMENT), bytes).unwrap();
            set_mark(&dir, 3);
            let log =
                Log::open(&dir, check).unwrap_or_else(|error| panic!("{what} {cut}: {error}"));
            holds(&log, kept).await;
            assert_eq!(mark(&dir), kept, "{what} {cut}");
            assert_eq!(log.append(entry).await, Ok(kept), "{what} {cut}");
            drop(log);
            holds(&Log::open(&dir, check).unwrap(), kept + 1).await;
        }
    }
}

#[tokio::test]
async fn acknowledged_entries_that_are_gone_are_never_cut_off() {
    let (_root, dir) = place();
    let log = Log::create(&dir, check).unwrap();
    fill(&log, 6).await;
    drop(log);
    let segment = dir.join(FIRST_SEGMENT);
    let whole = fs::read(&segment).unwrap();
    assert_eq!(mark(&dir), 6);

    for cut in 0..whole.len() {
        fs::write(&segment, &whole[..cut]).unwrap();
        assert!(damaged(&dir).contains("6 entries were acknowledged"));
        let mut flipped = whole.clone();
        flipped[cut] ^= 1;
        fs::write(&segment, &flipped).unwrap();
        assert!(
            damaged(&dir).contains("6 entries were acknowledged"),
            "flipped byte {cut}"
        );
        assert_eq!(
            fs::read(&segment).unwrap(),
            flipped,
            "refusing changes nothing"
        );
    }
    fs::remove_file(&segment).unwrap();
    assert!(damaged(&dir).contains("0 can be read"));

    fs::write(&segment, &whole).unwrap();
    fs::write(dir.join("mark"), [0; 7]).unwrap();
    assert!(damaged(&dir).contains("mark"));
    fs::remove_file(dir.join("mark")).unwrap();
    assert!(matches!(
        Log::open(&dir, check),
        Err(LogError::NotOpened(_))
    ));
}

/// A log of three segments, made without 131,080 appends.
fn long_log(dir: &Path) -> [PathBuf; 3] {
    drop(Log::create(dir, check).unwrap());
    [(0, ENTRIES), (ENTRIES, ENTRIES), (2 * ENTRIES, 8)].map(|(first, count)| {
        let mut bytes = Vec::new();
        for index in first..first + count {
            assert!(frame::push(&mut bytes, &entry(index)));
        }
        let path = dir.join(format!("{first:020}.log"));
        fs::write(&path, bytes).unwrap();
        path
    })
}

#[tokio::test]
async fn segments_must_be_there_whole_and_without_gaps() {
    let (_root, dir) = place();
    let segments = long_log(&dir);
    set_mark(&dir, 7);
    let log = Log::open(&dir, check).unwrap();
    holds(&log, 2 * ENTRIES + 8).await;
    let around = log.read(ENTRIES - 1, 3).await.unwrap();
    let indices: Vec<u64> = around.iter().map(|(index, _)| *index).collect();
    assert_eq!(indices, [ENTRIES - 1, ENTRIES, ENTRIES + 1]);
    drop(log);

    for (number, missing) in segments.iter().enumerate() {
        let aside = dir.join("aside");
        fs::rename(missing, &aside).unwrap();
        let why = damaged(&dir);
        assert!(
            why.contains(if number < 2 { "is missing" } else { "lost" }),
            "{number}: {why}"
        );
        fs::rename(&aside, missing).unwrap();
    }
    let whole = fs::read(&segments[1]).unwrap();
    let longer = [whole.as_slice(), b"\0\x01x"].concat();
    for bytes in [&whole[..whole.len() - 1], &longer[..]] {
        fs::write(&segments[1], bytes).unwrap();
        assert!(damaged(&dir).contains("another segment follows"));
    }
    fs::write(&segments[1], &whole).unwrap();
    holds(&Log::open(&dir, check).unwrap(), 2 * ENTRIES + 8).await;
}

#[tokio::test]
async fn a_full_segment_is_followed_by_the_next() {
    let (_root, dir) = place();
    let [_, _, last] = long_log(&dir);
    fs::remove_file(last).unwrap();
    let log = Log::open(&dir, check).unwrap();
    fill(&log, 300).await;
    holds(&log, 2 * ENTRIES + 300).await;
    drop(log);
    assert_eq!(mark(&dir), 2 * ENTRIES + 300);
    holds(&Log::open(&dir, check).unwrap(), 2 * ENTRIES + 300).await;
}

/// The calls a [`FailingDisk`] counts down to a failure; `usize::MAX` is never.
#[derive(Clone)]
struct Faults {
    sync: Arc<AtomicUsize>,
    write: Arc<AtomicUsize>,
    cut: Arc<AtomicUsize>,
    directory: Arc<AtomicUsize>,
}

impl Faults {
    fn none() -> Self {
        let never = || Arc::new(AtomicUsize::new(usize::MAX));
        Self {
            sync: never(),
            write: never(),
            cut: never(),
            directory: never(),
        }
    }
}

/// Whether this is the call that fails; those behind it do not.
fn due(countdown: &AtomicUsize) -> io::Result<()> {
    match countdown.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
        (left != usize::MAX).then(|| left.checked_sub(1).unwrap_or(usize::MAX))
    }) {
        Ok(0) => Err(io::Error::other("the disk failed")),
        Ok(_) | Err(_) => Ok(()),
    }
}

struct FailingDisk(Faults);

struct FailingTail {
    file: Box<dyn Tail>,
    faults: Faults,
}

impl Disk for FailingDisk {
    fn open(&self, path: &Path) -> io::Result<Box<dyn Tail>> {
        let file = RealDisk.open(path)?;
        Ok(Box::new(FailingTail {
            file,
            faults: self.0.clone(),
        }))
    }

    fn sync_directory(&self, dir: &Path) -> io::Result<()> {
        due(&self.0.directory)?;
        RealDisk.sync_directory(dir)
    }
}

impl Tail for FailingTail {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if due(&self.faults.write).is_err() {
            self.file
                .write_all_at(&bytes[..bytes.len() * 2 / 3], offset)?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.file.write_all_at(bytes, offset)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        due(&self.faults.cut)?;
        self.file.set_len(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        due(&self.faults.sync)?;
        self.file.sync_data()
    }
}

async fn failing(dir: &Path, faults: &Faults) -> Log {
    fill(&Log::create(dir, check).unwrap(), 4).await;
    Log::open_on(FailingDisk(faults.clone()), dir, check).unwrap()
}

#[tokio::test]
async fn after_a_failed_fdatasync_nothing_is_taken_until_the_log_is_opened_again() {
    let (_root, dir) = place();
    let faults = Faults::none();
    let log = failing(&dir, &faults).await;
    faults.sync.store(1, Ordering::SeqCst);
    assert_eq!(log.append(entry).await, Ok(4));
    assert!(matches!(log.append(entry).await, Err(LogError::Unknown(_))));
    for _ in 0..3 {
        let error = log.append(entry).await.unwrap_err();
        assert!(matches!(error, LogError::Poisoned(_)), "{error:?}");
        assert!(
            error
                .to_string()
                .contains("until the server is restarted: fdatasync failed")
        );
    }
    holds(&log, 5).await;
    assert_eq!(mark(&dir), 5, "what is in doubt is not acknowledged");
    drop(log);
    let log = Log::open(&dir, check).unwrap();
    assert_eq!(log.len(), 6, "it was whole, so it happened");
    assert_eq!(log.append(entry).await, Ok(6));
    holds(&log, 7).await;
}

#[tokio::test]
async fn after_a_failed_write_nothing_is_recorded_and_the_next_entry_tries_again() {
    let (_root, dir) = place();
    let faults = Faults::none();
    let log = failing(&dir, &faults).await;
    let before = fs::read(dir.join(FIRST_SEGMENT)).unwrap();
    for _ in 0..3 {
        faults.write.store(0, Ordering::SeqCst);
        assert!(matches!(
            log.append(entry).await,
            Err(LogError::Unavailable(_))
        ));
        assert_eq!(fs::read(dir.join(FIRST_SEGMENT)).unwrap(), before);
        assert_eq!(log.len(), 4);
    }
    assert_eq!(log.append(entry).await, Ok(4));
    holds(&log, 5).await;
}

#[tokio::test]
async fn a_failed_write_that_cannot_be_cut_off_closes_the_log() {
    for break_it in [
        |faults: &Faults| faults.cut.store(0, Ordering::SeqCst),
        |faults: &Faults| {
            faults.sync.store(0, Ordering::SeqCst);
        },
    ] {
        let (_root, dir) = place();
        let faults = Faults::none();
        let log = failing(&dir, &faults).await;
        faults.write.store(0, Ordering::SeqCst);
        break_it(&faults);
        assert!(matches!(log.append(entry).await, Err(LogError::Unknown(_))));
        assert!(matches!(
            log.append(entry).await,
            Err(LogError::Poisoned(_))
        ));
        holds(&log, 4).await;
        drop(log);
        let log = Log::open(&dir, check).unwrap();
        holds(&log, 4).await;
        assert_eq!(log.append(entry).await, Ok(4));
    }
}

#[tokio::test]
async fn a_segment_whose_name_is_not_durable_is_not_used() {
    let (_root, dir) = place();
    drop(Log::create(&dir, check).unwrap());
    let faults = Faults::none();
    faults.directory.store(0, Ordering::SeqCst);
    let log = Log::open_on(FailingDisk(faults), &dir, check).unwrap();
    assert!(matches!(
        log.append(entry).await,
        Err(LogError::Poisoned(_))
    ));
    assert!(matches!(
        log.append(entry).await,
        Err(LogError::Poisoned(_))
    ));
    drop(log);
    fill(&Log::open(&dir, check).unwrap(), 2).await;
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

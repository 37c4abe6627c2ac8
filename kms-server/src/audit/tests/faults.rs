//! A disk that fails on demand, and what holds afterwards.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{FIRST_SEGMENT, check, entry, fill, holds, mark, place};
use crate::audit::disk::{Disk, RealDisk, Tail};
use crate::audit::{Log, LogError};
use crate::health::Health;

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
    assert_eq!(*log.health().borrow(), Health::Serving);
    assert!(matches!(log.append(entry).await, Err(LogError::Unknown(_))));
    let Health::Down(why) = log.health().borrow().clone() else {
        panic!("a log in doubt does not say so");
    };
    assert!(
        why.contains("until the server is restarted: fdatasync failed"),
        "{why}"
    );
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
    assert_eq!(*log.health().borrow(), Health::Serving);
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
        assert_eq!(*log.health().borrow(), Health::Serving, "it tries again");
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

//! What a power cut, a lost file or another hand left, and what opening makes of it.

use std::fs;
use std::path::{Path, PathBuf};

use super::{FIRST_SEGMENT, check, damaged, entry, fill, holds, mark, place, set_mark};
use crate::audit::segment::ENTRIES;
use crate::audit::{Log, LogError};
use kms_core::frame;

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

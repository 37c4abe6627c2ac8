//! What holds of a run, in whatever order its calls come.
#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

use super::*;
use crate::error::Kind;
use proptest::prelude::*;
use zeroize::Zeroizing;

const ID: Uuid = Uuid::from_u128(7);

fn batch(expected: u64, offset: u64, count: usize) -> Batch {
    Batch::new(ID, expected, offset, count).unwrap()
}

/// A mark of this content.
fn mark(content: u8) -> Mark {
    [content; 16]
}

fn run(expected: u64) -> Run {
    Run::begin(&batch(expected, 0, 1), 3, Time(5))
}

/// What is written of a run, part by part.
#[derive(Default)]
struct Written(BTreeMap<usize, Vec<u8>>);

impl Written {
    fn put(&mut self, run: &Run) {
        let (number, bytes) = run.last_part();
        assert!(bytes.len() <= 8 * 1024, "a part is small");
        self.0.insert(number, bytes);
    }

    fn read(&self) -> Run {
        Run::of_parts(self.0.values().map(Vec::as_slice)).unwrap()
    }
}

proptest! {
    /// Calls of any place and content, some of them again: those that are checked off never
    /// overlap, so that no more identifiers than expected are evaluated; one is recognised if and
    /// only if all of it is the same; and what is written reads back as it was.
    #[test]
    fn what_is_checked_off_never_overlaps(
        expected in 1_u64..200,
        story in proptest::collection::vec((0_u64..200, 1_usize..40, 0_u8..3), 1..300),
    ) {
        let (mut now, mut written) = (run(expected), Written::default());
        let mut model: BTreeMap<u64, (usize, u8)> = BTreeMap::new();
        for (offset, count, content) in story {
            let Ok(batch) = Batch::new(ID, expected, offset, count) else {
                prop_assert!(offset + u64::try_from(count).unwrap() > expected);
                continue;
            };
            let known = model.get(&offset) == Some(&(count, content));
            match now.check_off(&batch, 3, mark(content)) {
                Ok(None) => prop_assert!(known),
                Ok(Some(after)) => {
                    prop_assert!(!known);
                    now = after;
                    written.put(&now);
                    prop_assert_eq!(model.insert(offset, (count, content)), None);
                }
                Err(error) => {
                    prop_assert_eq!(error.kind(), Kind::Invalid);
                    prop_assert!(!known);
                    let end = offset + u64::try_from(count).unwrap();
                    let overlaps = model.iter().any(|(from, (count, _))| {
                        *from < end && offset < from + u64::try_from(*count).unwrap()
                    });
                    prop_assert!(overlaps);
                }
            }
            if !model.is_empty() {
                prop_assert_eq!(&written.read(), &now);
            }
        }
        let evaluated: usize = model.values().map(|(count, _)| count).sum();
        prop_assert!(u64::try_from(evaluated).unwrap() <= expected);
        prop_assert_eq!(now.is_complete(), u64::try_from(evaluated).unwrap() == expected);
    }

    /// Bytes from outside are no run, or one that is written so.
    #[test]
    fn any_bytes_are_refused_or_written_back(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let framed = [&MAGIC[..], &bytes].concat();
        for bytes in [bytes, framed] {
            if let Ok(run) = Run::of_parts([bytes.as_slice()]) {
                prop_assert_eq!(run.last_part(), (0, bytes));
            }
        }
    }
}

#[test]
fn a_run_has_so_many_calls_and_each_part_is_small() {
    let most = u64::try_from(CALLS_MAX).unwrap();
    let (mut now, mut written) = (run(most + 1), Written::default());
    for offset in 0..most {
        let next = now.check_off(&batch(most + 1, offset, 1), 3, mark(1));
        now = next.unwrap().unwrap();
        written.put(&now);
    }
    assert_eq!(written.read(), now);
    assert_eq!(written.0.len(), CALLS_MAX / PART);
    let over = now.check_off(&batch(most + 1, most, 1), 3, mark(1));
    assert!(over.unwrap_err().message().contains("make larger calls"));
    // Those that are there are recognised still.
    assert_eq!(now.check_off(&batch(most + 1, 4, 1), 3, mark(1)), Ok(None));
}

#[test]
fn a_run_is_what_it_declared() {
    let now = run(10);
    let now = now
        .check_off(&batch(10, 0, 5), 3, mark(1))
        .unwrap()
        .unwrap();
    let more = now.check_off(&batch(11, 5, 5), 3, mark(1)).unwrap_err();
    assert_eq!(more.kind(), Kind::Invalid);
    let renewed = now.check_off(&batch(10, 5, 5), 4, mark(1)).unwrap_err();
    assert_eq!(renewed.kind(), Kind::State);
    for (expected, offset, count) in [
        (0, 0, 1),
        (10, 10, 1),
        (10, 5, 6),
        (10, u64::MAX, 1),
        (10, 0, 0),
    ] {
        let beyond = Batch::new(ID, expected, offset, count).unwrap_err();
        assert_eq!(beyond.kind(), Kind::Invalid);
    }
    assert!(!now.is_over(RUN_LIFE, Time(4 + RUN_LIFE)));
    assert!(now.is_over(RUN_LIFE, Time(5 + RUN_LIFE)));
}

/// The bytes in the store, and what the HSM authenticates: golden, for a run outlives a release.
#[test]
fn the_format_is_pinned() {
    let now = run(10).check_off(&batch(10, 2, 5), 3, mark(0xab));
    let (number, bytes) = now.unwrap().unwrap().last_part();
    assert_eq!(number, 0);
    assert_eq!(
        data_encoding::HEXLOWER.encode(&bytes),
        "455201000000000000000500000003000000000000000a\
         00000000000000020005abababababababababababababababab"
    );
    let content = Content::of(&[
        Identifier::opaque(Zeroizing::new("SYNTHETIC-1".to_owned())),
        Err(Error::invalid("identifier", "none")),
    ]);
    let authenticated = batch(10, 2, 5).authenticated("spaces/w/edges/d", "service/p", &content);
    let digest = Sha256::digest(&authenticated);
    insta::assert_snapshot!(format!(
        "{}\n{}\n{}",
        authenticated.len(),
        data_encoding::HEXLOWER.encode(&digest),
        data_encoding::HEXLOWER.encode(&Sha256::digest(content.recorded("the-call")))
    ));
}

/// Other identifiers, another order or one more are another content; so is one that was none and
/// was mended.
#[test]
fn contents_differ() {
    let named = |text: &str| Identifier::opaque(Zeroizing::new(text.to_owned()));
    let none = || Err(Error::invalid("identifier", "none"));
    let contents = [
        vec![],
        vec![named("A")],
        vec![named("A"), named("B")],
        vec![named("B"), named("A")],
        vec![named("AB")],
        vec![named("A"), none()],
        vec![none(), named("A")],
        vec![none()],
    ];
    for (at, one) in contents.iter().enumerate() {
        for (beside, other) in contents.iter().enumerate() {
            assert_eq!(at == beside, Content::of(one) == Content::of(other));
        }
    }
    assert_eq!(format!("{:?}", Content::of(&[])), "Content { redacted }");
}

#[test]
fn room_is_made_of_what_is_over_and_of_what_is_done() {
    let at = |begun: u64| Run {
        begun: Time(begun),
        ..run(1)
    };
    let done = |begun: u64| {
        at(begun)
            .check_off(&batch(1, 0, 1), 3, mark(1))
            .unwrap()
            .unwrap()
    };
    let now = Time(RUN_LIFE + 100);
    let mut runs: BTreeMap<Uuid, Run> = (0..RUNS_MAX)
        .map(|n| (Uuid::from_u128(u128::try_from(n).unwrap()), at(200)))
        .collect();
    let full = room(&runs, RUN_LIFE, now).unwrap_err();
    assert_eq!(full.kind(), Kind::Exhausted);
    let [old, early, late] = [3, 5, 4].map(Uuid::from_u128);
    runs.insert(late, done(201));
    runs.insert(early, done(200));
    assert_eq!(room(&runs, RUN_LIFE, now).unwrap(), [early]);
    runs.insert(old, at(100));
    assert_eq!(room(&runs, RUN_LIFE, now).unwrap(), [old]);
    runs.remove(&late);
    runs.remove(&early);
    runs.remove(&old);
    assert!(room(&runs, RUN_LIFE, now).unwrap().is_empty());
}

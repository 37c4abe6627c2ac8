//! The fuzz targets over their corpora, and over what is next to them.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects and fails loudly"
)]

use proptest::prelude::*;
use proptest::sample::Index;
use softhsm_tests::outside_bytes::{Body, TARGETS};
use softhsm_tests::program::repository;
use std::collections::BTreeSet;
use std::fs;

fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let directory = repository().join("fuzz/corpus").join(target);
    let listed =
        fs::read_dir(&directory).unwrap_or_else(|e| panic!("{}: {e}", directory.display()));
    listed
        .map(|file| {
            let file = file.unwrap();
            let name = file.file_name().to_string_lossy().into_owned();
            (name, fs::read(file.path()).unwrap())
        })
        .collect()
}

#[test]
fn each_target_has_a_body_and_a_corpus() {
    let names = |directory: &str| -> BTreeSet<String> {
        let listed = fs::read_dir(repository().join(directory)).unwrap();
        listed
            .map(|file| {
                file.unwrap()
                    .path()
                    .file_stem()
                    .unwrap()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect()
    };
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names("fuzz/fuzz_targets"), targets);
    assert_eq!(names("fuzz/corpus"), targets);
}

/// Seeds that begin with `good` are understood, those that begin with `bad` are not.
#[test]
fn seeds_are_what_they_are_called() {
    for (target, body) in TARGETS {
        let mut seen = BTreeSet::new();
        for (name, bytes) in corpus(target) {
            let understood = body(&bytes);
            let good = name.starts_with("good");
            if good || name.starts_with("bad") {
                assert_eq!(understood, good, "{target}/{name}");
                seen.insert(good);
            }
        }
        assert_eq!(seen.len(), 2, "{target} has a good seed and a bad one");
    }
}

/// A seed with one change.
fn near(bytes: &[u8], place: Index, change: u8, cut: bool) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if bytes.is_empty() {
        return vec![change];
    }
    let place = place.index(bytes.len());
    if cut {
        bytes.truncate(place);
    } else {
        bytes[place] ^= change;
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_near_a_seed_is_misunderstood(
        target in prop::sample::select(TARGETS.to_vec()),
        seed in any::<Index>(),
        place in any::<Index>(),
        change in 1..=u8::MAX,
        cut in any::<bool>(),
    ) {
        let (name, body): (&str, Body) = target;
        let seeds = corpus(name);
        let (_, bytes) = &seeds[seed.index(seeds.len())];
        body(&near(bytes, place, change, cut));
    }

    #[test]
    fn nothing_at_all_is_misunderstood(
        target in prop::sample::select(TARGETS.to_vec()),
        bytes in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        target.1(&bytes);
    }
}

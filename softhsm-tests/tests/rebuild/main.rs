//! A lost store is made again from the changes log: what the log proves is what it was, what only the
//! store knew counts as spent, and what the token says otherwise is named.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod copy;
mod killed;
mod lost;
mod token;

use kms_server::store::{SledStore, Store as _};
use softhsm_tests::Deployment;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

const KEY: &str = "spaces/ingest-lyon/keys/object";
const LINK: &str = "spaces/warehouse/edges/link";

/// What a store holds: under each key its revision and its value.
type Contents = BTreeMap<String, (u64, String)>;

/// The contents of the store of a stopped deployment.
fn contents(kms: &Deployment) -> Contents {
    let store = SledStore::open(&kms.data().join("store")).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let entries = runtime.block_on(store.scan("", None, 100_000)).unwrap();
    entries
        .into_iter()
        .map(|entry| {
            let value = String::from_utf8(entry.value).unwrap();
            (entry.key, (entry.revision.0, value))
        })
        .collect()
}

/// What of it stands outside `local/`, but for what is of these keys.
fn values_but_of(contents: &Contents, keys: &[String]) -> Contents {
    let of_them = |name: &str| {
        keys.iter()
            .any(|key| name == key || name.starts_with(&format!("{key}/versions/")))
    };
    let mut values = contents.clone();
    values.retain(|name, _| {
        !name.starts_with("local/") && !name.starts_with("rebuilds/") && !of_them(name)
    });
    values
}

/// The names on the lines of a report that begin with this word.
fn named(report: &str, word: &str) -> Vec<String> {
    let lines = report.lines().filter(|line| line.starts_with(word));
    lines
        .map(|line| line.split_whitespace().nth(1).unwrap().replace(':', ""))
        .collect()
}

/// The store is gone.
fn lose(kms: &Deployment) {
    fs::remove_dir_all(kms.data().join("store")).unwrap();
}

/// Puts a copy of the directory `from` at `to`.
fn copy_directory(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_directory(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The only segment of the changes log.
fn segment(kms: &Deployment) -> PathBuf {
    let mut segments = files(&kms.data().join("changes"));
    segments.retain(|file| file.extension().is_some_and(|kind| kind == "log"));
    let [segment] = segments.as_slice() else {
        panic!("{segments:?}");
    };
    segment.clone()
}

/// Every file below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found
}

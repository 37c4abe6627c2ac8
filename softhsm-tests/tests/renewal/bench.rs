//! A deployment with an edge into the warehouse and one behind it, and files of patients.

use serde_json::Value;
use softhsm_tests::{Cli, Deployment, Finished, patients};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The edge from outside, and the one that evaluates its pseudonyms.
pub(crate) const LINK: &str = "warehouse/link";
pub(crate) const PROJECT: &str = "project-01/warehouse";

pub(crate) struct Bench {
    pub(crate) kms: Deployment,
    place: PathBuf,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let kms = Deployment::emc2().start();
        kms.furnish();
        Bench::of(kms)
    }

    /// The same, whose server listens at the same place after a restart: a client that waits for it
    /// finds it again.
    pub(crate) fn staying() -> Self {
        let bench = Bench::new();
        bench.kms.stays();
        bench
    }

    pub(crate) fn of(kms: Deployment) -> Self {
        let place = kms.directory().to_owned();
        Bench { kms, place }
    }

    pub(crate) fn cli(&self, id: &str) -> Cli {
        self.kms.cli(id)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.place.join(name)
    }

    /// Between any two steps the server may be killed.
    pub(crate) fn crash(&mut self) {
        self.kms.kill();
        self.kms.restart();
    }

    /// So many fictitious patients, `patients.csv`, with their column `ID`.
    pub(crate) fn patients(&self, count: u64) {
        let file = fs::File::create(self.path("patients.csv")).unwrap();
        patients::write(file, count, 7).unwrap();
    }

    /// A column of a file, without its header.
    pub(crate) fn column(&self, name: &str, column: usize) -> Vec<String> {
        let mut reader = csv::Reader::from_path(self.path(name)).unwrap();
        let records = reader.records().map(Result::unwrap);
        records.map(|r| r.get(column).unwrap().to_owned()).collect()
    }

    /// `kms pseudonym map` of the column `ID`.
    pub(crate) fn map(&self, who: &str, edge: &str, input: &str, from: &str, to: &str) {
        self.cli(who)
            .run([
                "pseudonym",
                "map",
                from,
                "--column",
                "ID",
                "--edge",
                edge,
                "--input",
                input,
                "-O",
                to,
            ])
            .succeeds();
    }

    /// `kms pseudonym renew`, as JSON.
    pub(crate) fn renew(&self, who: &str, verb: &str, edge: &str, more: &[&str]) -> Finished {
        let edge = if verb == "apply" {
            vec![]
        } else {
            vec!["--edge", edge]
        };
        let arguments = [&["pseudonym", "renew", verb], more, &edge, &["-o", "json"]].concat();
        self.cli(who).run(arguments)
    }

    /// An operator starts a campaign in which this service translates.
    pub(crate) fn start(&self, edge: &str, mode: &str, translator: &str) -> Value {
        self.starts((edge, mode, translator), 20_000)
    }

    /// The same, for so many rows.
    pub(crate) fn starts(
        &self,
        (edge, mode, translator): (&str, &str, &str),
        expected: u64,
    ) -> Value {
        let asked = [
            "--mode",
            mode,
            "--translator",
            translator,
            "--expected",
            &expected.to_string(),
            "--reason",
            "a test",
        ];
        self.renew("olivia", "start", edge, &asked)
            .succeeds()
            .json()
    }

    pub(crate) fn state(&self, version: &str) -> String {
        let shown = self
            .cli("olivia")
            .run(["version", "show", version, "-o", "json"]);
        shown.succeeds().json()["state"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// What a directory has: names and sizes.
    pub(crate) fn listed(&self, name: &str) -> BTreeMap<String, Vec<u8>> {
        let entries = fs::read_dir(self.path(name)).unwrap().map(Result::unwrap);
        entries
            .map(|entry| {
                let name = entry.file_name().into_string().unwrap();
                (name, fs::read(entry.path()).unwrap())
            })
            .collect()
    }
}

/// Whether these bytes are anywhere in a tree.
pub(crate) fn anywhere(place: &Path, text: &str) -> bool {
    let mut left = vec![place.to_owned()];
    while let Some(place) = left.pop() {
        if place.is_dir() {
            left.extend(
                fs::read_dir(place)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        } else if fs::read(&place).is_ok_and(|bytes| holds(&bytes, text.as_bytes())) {
            return true;
        }
    }
    false
}

fn holds(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|part| part == text)
}

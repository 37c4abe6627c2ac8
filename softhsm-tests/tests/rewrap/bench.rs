//! A server with a key, and data keys that it wraps.

use data_encoding::BASE64;
use kms_proto::v1::{self, crypto_service_client::CryptoServiceClient};
use softhsm_tests::{Cli, Deployment, gateway::Gateway, wait::until};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};
use uuid::Uuid;

pub(crate) const KEY: &str = "spaces/ingest-lyon/keys/object";
/// As the command line names it.
pub(crate) const SHORT: &str = "ingest-lyon/object";

pub(crate) struct Bench {
    pub(crate) kms: Deployment,
    pub(crate) etl: Gateway,
    place: PathBuf,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let mut kms = Deployment::emc2().start();
        kms.furnish();
        let etl = Gateway::connect(&mut kms, "lyon-etl");
        let place = kms.directory().to_owned();
        Bench { kms, etl, place }
    }

    /// The name of a version of the key.
    pub(crate) fn version(number: u32) -> String {
        format!("{KEY}/versions/{number}")
    }

    pub(crate) fn rotate(&mut self) {
        let operator = Gateway::connect(&mut self.kms, "olivia");
        operator.rotate(KEY, &Uuid::new_v4().to_string()).unwrap();
    }

    /// So many texts, encrypted under the primary version, each with a context that says its number.
    pub(crate) fn wrapped(&self, count: usize) -> Vec<String> {
        let mut all = Vec::new();
        let numbers: Vec<usize> = (0..count).collect();
        for some in numbers.chunks(1_000) {
            let item = |number: &usize| v1::batch_encrypt_request::Item {
                plaintext: plaintext(*number),
                context: context(*number),
            };
            let request = v1::BatchEncryptRequest {
                name: KEY.to_owned(),
                items: some.iter().map(item).collect(),
            };
            let answer = self.etl.call(async |channel| {
                CryptoServiceClient::new(channel)
                    .batch_encrypt(request)
                    .await
            });
            for result in answer.unwrap().into_inner().results {
                use v1::batch_encrypt_response::result::Result as Told;
                let Some(Told::Ok(encrypted)) = result.result else {
                    panic!("{result:?}");
                };
                all.push(BASE64.encode(&encrypted.ciphertext));
            }
        }
        all
    }

    /// The versions under which these open, with how many each; every one must open as what it was.
    pub(crate) fn opened(&self, wrapped: &[String]) -> BTreeMap<String, usize> {
        use v1::batch_decrypt_response::result::Result as Told;
        let mut versions = BTreeMap::new();
        let numbered: Vec<(usize, &String)> = wrapped.iter().enumerate().collect();
        for some in numbered.chunks(1_000) {
            let item = |(number, text): &(usize, &String)| v1::batch_decrypt_request::Item {
                ciphertext: BASE64.decode(text.as_bytes()).unwrap(),
                context: context(*number),
            };
            let request = v1::BatchDecryptRequest {
                name: KEY.to_owned(),
                items: some.iter().map(item).collect(),
            };
            let answer = self.etl.call(async |channel| {
                CryptoServiceClient::new(channel)
                    .batch_decrypt(request)
                    .await
            });
            let results = answer.unwrap().into_inner().results;
            for ((number, _), result) in some.iter().zip(results) {
                let Some(Told::Ok(opened)) = result.result else {
                    panic!("item {number} does not open: {result:?}");
                };
                assert_eq!(opened.plaintext, plaintext(*number));
                *versions.entry(opened.version).or_default() += 1;
            }
        }
        versions
    }

    pub(crate) fn cli(&self, id: &str) -> Cli {
        self.kms.cli(id)
    }

    /// How often a version was used: protected and processed.
    pub(crate) fn used(&mut self, number: u32) -> (i64, i64) {
        let auditor = Gateway::connect(&mut self.kms, "ada");
        let usage = auditor.usage(&Self::version(number)).unwrap();
        (usage.protected, usage.processed)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.place.join(name)
    }

    pub(crate) fn write(&self, name: &str, content: &str) {
        fs::write(self.path(name), content).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Runs a command and kills it as soon as this is true; whether it had ended before.
    pub(crate) fn killed(
        &self,
        id: &str,
        arguments: &[&str],
        when: impl Fn(&Path) -> bool,
    ) -> bool {
        let mut child = self
            .cli(id)
            .command(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let ended = until("the moment to kill", || {
            let ended = child.try_wait().unwrap();
            (ended.is_some() || when(&self.place)).then_some(ended.is_some())
        });
        child.kill().unwrap();
        child.wait().unwrap();
        ended
    }
}

fn plaintext(number: usize) -> Vec<u8> {
    format!("data key {number}").into_bytes()
}

pub(crate) fn context(number: usize) -> BTreeMap<String, String> {
    BTreeMap::from([("dataset".to_owned(), format!("d{}", number % 7))])
}

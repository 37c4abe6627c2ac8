//! A development deployment with a space that takes keys in.

use crate::partner::Transfer;
use serde_json::Value;
use softhsm_tests::{Cli, Deployment, Finished};
use std::cell::Cell;
use std::path::Path;

pub(crate) struct World {
    pub(crate) kms: Deployment,
    pub(crate) cli: Cli,
    signer: String,
    next: Cell<u8>,
}

impl World {
    pub(crate) fn start() -> Self {
        Self::of(Deployment::emc2().start())
    }

    pub(crate) fn of(kms: Deployment) -> Self {
        let cli = kms.cli("stella");
        cli.run(["space", "create", "lab", "--kind", "project"])
            .succeeds();
        let signer = cli
            .run(["import", "signer"])
            .succeeds()
            .text()
            .trim()
            .to_owned();
        World {
            cli,
            kms,
            signer,
            next: Cell::new(0),
        }
    }

    /// A wrapping key that takes this in.
    pub(crate) fn way(&self, name: &str, takes: &[&str]) -> String {
        let name = format!("lab/{name}");
        let mut arguments = vec!["key", "create", &name, "--class", "import-wrapping"];
        arguments.extend(takes);
        self.cli.run(arguments).succeeds();
        name
    }

    /// A key that waits for its material.
    pub(crate) fn external(&self, class: &str, more: &[&str]) -> String {
        let name = format!("lab/key-{}", self.number());
        let mut arguments = vec![
            "key", "create", &name, "--class", class, "--origin", "external",
        ];
        arguments.extend(more);
        self.cli.run(arguments).succeeds();
        name
    }

    /// A key in the clear, never the same.
    pub(crate) fn material(&self) -> [u8; 32] {
        let mut material = [0; 32];
        getrandom::fill(&mut material).unwrap();
        material
    }

    pub(crate) fn params(&self, key: &str, way: &str) -> Transfer {
        let directory = self
            .kms
            .directory()
            .join(format!("transfer-{}", self.number()));
        let directory = directory.to_str().unwrap().to_owned();
        let arguments = [
            "import",
            "params",
            key,
            "--wrapping-key",
            way,
            "-O",
            &directory,
        ];
        self.cli.run(arguments).succeeds();
        Transfer {
            directory,
            key: key.to_owned(),
            signer: self.signer.clone(),
        }
    }

    pub(crate) fn check(&self, transfer: &Transfer, wrapped: &str) -> Finished {
        let token = transfer.at("import-token");
        self.cli.run([
            "import",
            "check",
            &transfer.key,
            "--token",
            &token,
            "--wrapped",
            wrapped,
        ])
    }

    pub(crate) fn submit(&self, transfer: &Transfer, wrapped: &str, more: &[&str]) -> Finished {
        let token = transfer.at("import-token");
        let mut arguments = vec!["import", "submit", &transfer.key, "--token", &token];
        arguments.extend(["--wrapped", wrapped, "--reason", "a test"]);
        arguments.extend(more);
        self.cli.run(arguments)
    }

    /// The first version of a key, as JSON.
    pub(crate) fn version(&self, key: &str) -> Value {
        let shown = self
            .cli
            .run(["version", "show", &format!("{key}/1"), "-o", "json"]);
        shown.succeeds().json()
    }

    /// How many objects the token has: `SoftHSM` keeps each in a file of its own.
    pub(crate) fn objects(&self) -> usize {
        fn count(directory: &Path) -> usize {
            let listed = std::fs::read_dir(directory).unwrap();
            listed
                .map(|entry| entry.unwrap().path())
                .map(|path| {
                    let object = path.extension().is_some_and(|e| e == "object");
                    match path.is_dir() {
                        true => count(&path),
                        false => usize::from(object && !path.ends_with("token.object")),
                    }
                })
                .sum()
        }
        count(self.kms.directory())
    }

    /// It is active, and primary.
    pub(crate) fn works(&self, key: &str) {
        let shown = self.version(key);
        assert_eq!(shown["state"], "ACTIVE", "{shown}");
        assert_eq!(shown["importSha256"].as_str().unwrap().len(), 64, "{shown}");
    }

    fn number(&self) -> u8 {
        self.next.set(self.next.get() + 1);
        self.next.get()
    }
}

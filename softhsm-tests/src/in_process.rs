//! A `SoftHSM` token for a test that calls PKCS#11 in its own process.
//!
//! `SoftHSM` reads the place of its tokens from the environment, which a running program cannot
//! change safely: all these tests share the store that `.cargo/config.toml` names, each with a
//! token of its own, chosen by label. What starts on a shared store takes turns (`SoftHSM`
//! rewrites a token's file at each login, and whoever reads it half-written fails).

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that fails may say so by a panic; the environment names the token store"
)]

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use kms_pkcs11::{Module, Session};
use kms_server::hsm::{Pool, Settings};
use secrecy::SecretString;

use crate::token::MODULE;

/// The PIN of every one of these tokens: they hold nothing worth more.
pub const PIN: &str = "87654321";

/// A token of the test's own, empty at the start.
#[derive(Debug)]
pub struct InProcessToken {
    label: String,
    directory: PathBuf,
    pin: tempfile::TempDir,
}

impl InProcessToken {
    /// The token with this label, made if it is not there yet; what a former run left in it is
    /// gone.
    ///
    /// # Panics
    /// When `softhsm2-util` is missing, or the test is not run by cargo.
    #[must_use]
    pub fn empty(label: &str) -> Self {
        let _turn = turn();
        let directory = directory_of(label).unwrap_or_else(|| {
            initialise(label);
            directory_of(label).unwrap()
        });
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if !matches!(name.as_str(), "token.object" | "token.lock" | "generation") {
                fs::remove_file(path).unwrap();
            }
        }
        let token = Self {
            label: label.to_owned(),
            directory,
            pin: tempfile::tempdir().unwrap(),
        };
        token.write_pin(PIN);
        token
    }

    /// What a pool needs to know of it.
    #[must_use]
    pub fn settings(&self) -> Settings {
        Settings {
            module: MODULE.into(),
            token: self.label.clone(),
            pin_file: self.pin.path().join("pin"),
            threads: 2,
            queue: 1024,
            lock_file: lock_file(),
            timeout_ms: 30_000,
        }
    }

    /// A pool on it.
    #[must_use]
    pub fn pool(&self) -> Pool {
        Pool::start(self.settings()).unwrap()
    }

    /// Puts another PIN into the file that the pool reads.
    pub fn write_pin(&self, pin: &str) {
        let path = self.pin.path().join("pin");
        fs::write(&path, format!("{pin}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// The token's files: moved away, the token is gone; moved back, it is there again.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// A session of this process that knows nothing of the server's code. The library must be
    /// initialised: a pool has done that.
    #[must_use]
    pub fn outsider(&self) -> Outsider {
        let module = Module::load(Path::new(MODULE)).unwrap();
        let slot = module.slot(&self.label).unwrap();
        let session = module.open_session(slot).unwrap();
        session.login(&SecretString::from(PIN)).unwrap();
        Outsider { session }
    }
}

/// Whoever has the PIN and PKCS#11, and not our code.
#[derive(Debug)]
pub struct Outsider {
    /// Logged in.
    pub session: Session,
}

/// Held while something starts on the shared store.
fn turn() -> File {
    let store = store();
    fs::create_dir_all(store.join("tokens")).unwrap();
    let lock = File::create(lock_file()).unwrap();
    lock.lock().unwrap();
    if !configuration().exists() {
        let tokens = store.join("tokens");
        fs::write(
            configuration(),
            format!("directories.tokendir = {}\n", tokens.display()),
        )
        .unwrap();
    }
    lock
}

/// Makes the token on a store of its own and moves it in whole: `softhsm2-util` looks at every
/// token of its store, and fails where another test has just taken one away.
fn initialise(label: &str) {
    let own = tempfile::tempdir_in(store()).unwrap();
    let (tokens, conf) = (own.path().join("tokens"), own.path().join("softhsm2.conf"));
    fs::create_dir(&tokens).unwrap();
    fs::write(
        &conf,
        format!("directories.tokendir = {}\n", tokens.display()),
    )
    .unwrap();
    let output = Command::new("softhsm2-util")
        .env("SOFTHSM2_CONF", &conf)
        .args(["--init-token", "--free", "--so-pin", "12345678"])
        .args(["--pin", PIN, "--label", label])
        .output()
        .unwrap();
    assert!(output.status.success(), "softhsm2-util: {output:?}");
    for token in fs::read_dir(&tokens).unwrap() {
        let token = token.unwrap();
        let place = store().join("tokens").join(token.file_name());
        fs::rename(token.path(), place).unwrap();
    }
}

/// A token's label is in its `token.object`, padded to 32 bytes (PKCS#11 v2.40 section 3.2).
fn directory_of(label: &str) -> Option<PathBuf> {
    let padded = format!("{label:<32}").into_bytes();
    fs::read_dir(store().join("tokens"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| {
            let token = fs::read(path.join("token.object")).unwrap_or_default();
            token.windows(padded.len()).any(|window| window == padded)
        })
}

fn configuration() -> PathBuf {
    std::env::var_os("SOFTHSM2_CONF").unwrap().into()
}

fn store() -> PathBuf {
    configuration().parent().unwrap().to_owned()
}

fn lock_file() -> PathBuf {
    store().join("lock")
}

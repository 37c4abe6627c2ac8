//! A token for a test that calls PKCS#11 in its own process.
//!
//! A module reads the place of its tokens from the environment, which a running program cannot
//! change safely. `SoftHSM`: all these tests share the store that `.cargo/config.toml` names, each
//! with a token of its own, chosen by label. What starts on a shared store takes turns (`SoftHSM`
//! rewrites a token's file at each login, and whoever reads it half-written fails). kryoptic: the
//! name in the environment is a relative one, and the test's process goes to where its own token
//! is.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that fails may say so by a panic; the environment names the token store"
)]

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use kms_pkcs11::{Module, Session};
use kms_server::hsm::{Pool, Settings};
use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::token::{Make, Pins, initialise};

/// The PIN of every one of these tokens: they hold nothing worth more.
pub const PIN: &str = "87654321";

/// Their security officer's.
pub const OFFICER_PIN: &str = "12345678";

/// A token of the test's own, empty at the start.
#[derive(Debug)]
pub struct InProcessToken {
    label: String,
    make: Make,
    directory: PathBuf,
    /// The PIN's file, and all of a token that is not in the shared store.
    own: tempfile::TempDir,
}

impl InProcessToken {
    /// The `SoftHSM` token with this label, made if it is not there yet; what a former run left
    /// in it is gone.
    ///
    /// # Panics
    /// When the token cannot be made, or the test is not run by cargo.
    #[must_use]
    pub fn empty(label: &str) -> Self {
        Self::empty_of(Make::SoftHsm, label)
    }

    /// The same, of either make.
    ///
    /// # Panics
    /// As [`InProcessToken::empty`].
    #[must_use]
    pub fn empty_of(make: Make, label: &str) -> Self {
        let own = tempfile::tempdir().unwrap();
        let directory = match make {
            Make::SoftHsm => in_the_store(label),
            Make::Kryoptic => here(own.path(), label),
        };
        let token = Self {
            label: label.to_owned(),
            make,
            directory,
            own,
        };
        token.write_pin(PIN);
        token
    }

    /// What a pool needs to know of it.
    #[must_use]
    pub fn settings(&self) -> Settings {
        Settings {
            module: self.make.module(),
            token: self.label.clone(),
            pin_file: self.pin_file(),
            threads: 2,
            queue: 1024,
            lock_file: match self.make {
                Make::SoftHsm => lock_file(),
                Make::Kryoptic => self.own.path().join("lock"),
            },
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
        let path = self.pin_file();
        fs::write(&path, format!("{pin}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn pin_file(&self) -> PathBuf {
        self.own.path().join("pin")
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
        let module = Module::load(&self.make.module()).unwrap();
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

/// A token of the shared store, emptied.
fn in_the_store(label: &str) -> PathBuf {
    let _turn = turn();
    let directory = directory_of(label).unwrap_or_else(|| {
        make_in_the_store(label);
        directory_of(label).unwrap()
    });
    for entry in fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !matches!(name.as_str(), "token.object" | "token.lock" | "generation") {
            fs::remove_file(path).unwrap();
        }
    }
    directory
}

/// Held while something starts on the shared store.
fn turn() -> File {
    let store = store();
    fs::create_dir_all(store.join("tokens")).unwrap();
    let lock = File::create(lock_file()).unwrap();
    lock.lock().unwrap();
    if !configuration().exists() {
        let settings = Make::SoftHsm.settings(&store.join("tokens"));
        fs::write(configuration(), settings).unwrap();
    }
    lock
}

/// Makes the token on a store of its own and moves it in whole: a module looks at every token of
/// its store, and fails where another test has just taken one away.
fn make_in_the_store(label: &str) {
    let own = tempfile::tempdir_in(store()).unwrap();
    let tokens = make(Make::SoftHsm, own.path(), label);
    for token in fs::read_dir(&tokens).unwrap() {
        let token = token.unwrap();
        let place = store().join("tokens").join(token.file_name());
        fs::rename(token.path(), place).unwrap();
    }
}

/// A token in a directory of its own, to which this process goes.
fn here(directory: &Path, label: &str) -> PathBuf {
    let tokens = make(Make::Kryoptic, directory, label);
    std::env::set_current_dir(directory).unwrap();
    tokens
}

fn make(make: Make, directory: &Path, label: &str) -> PathBuf {
    let tokens = directory.join("tokens");
    fs::create_dir(&tokens).unwrap();
    let conf = directory.join(make.configuration());
    fs::write(&conf, make.settings(&tokens)).unwrap();
    let pins = Pins {
        officer: Zeroizing::new(OFFICER_PIN.to_owned()),
        user: Zeroizing::new(PIN.to_owned()),
    };
    initialise(make, &conf, label, &pins).unwrap_or_else(|cause| panic!("{cause}"));
    tokens
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

//! A `SoftHSM` token of one's own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use data_encoding::BASE32_NOPAD;
use zeroize::Zeroizing;

use crate::{Failure, pki::write_private};

/// Where Debian's package `softhsm2` puts the PKCS#11 module.
pub const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";

/// A software token in a directory, for development and tests only: `softhsm2.conf` (name
/// it in `SOFTHSM2_CONF` of whoever uses the token), `tokens/` with the objects and `pin`
/// with the user PIN, readable by its owner alone.
#[derive(Debug, Clone)]
pub struct Token {
    directory: PathBuf,
    label: String,
}

impl Token {
    /// Makes a token labelled `label` in `directory`, with a random PIN; one that is there
    /// already is left as it is.
    ///
    /// The security officer's PIN is thrown away: a development token that needs it is made
    /// anew. `softhsm2-util` takes PINs as arguments, visible to other users of the machine
    /// for a moment: one more reason to have no production token made by this.
    ///
    /// # Errors
    /// When `softhsm2-util` is missing or fails, or the directory cannot be written.
    pub fn create(directory: &Path, label: &str) -> Result<Self, Failure> {
        let token = Self {
            directory: directory.to_owned(),
            label: label.to_owned(),
        };
        if token.pin_file().exists() {
            return Ok(token);
        }
        let objects = directory.join("tokens");
        fs::create_dir_all(&objects).map_err(Failure::with_file("create", &objects))?;
        let settings = format!(
            "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
            objects.display()
        );
        fs::write(token.conf(), settings).map_err(Failure::with_file("write", &token.conf()))?;
        let (user, officer) = (random_pin()?, random_pin()?);
        initialise(&token, &user, &officer)?;
        // Last, because the PIN file is what says that the token is complete.
        write_private(&token.pin_file(), format!("{}\n", *user).as_bytes())?;
        Ok(token)
    }

    /// The token's label (`CKA_LABEL` in the words of the configuration).
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The file for `SOFTHSM2_CONF`.
    pub fn conf(&self) -> PathBuf {
        self.directory.join("softhsm2.conf")
    }

    /// The file with the user PIN and a line feed, mode 0600.
    pub fn pin_file(&self) -> PathBuf {
        self.directory.join("pin")
    }

    /// The directory that holds the token's objects: moved away, the token is gone; moved
    /// back, it is there again.
    pub fn objects(&self) -> PathBuf {
        self.directory.join("tokens")
    }
}

fn initialise(token: &Token, user: &str, officer: &str) -> Result<(), Failure> {
    let output = Command::new("softhsm2-util")
        .args([
            "--module",
            MODULE,
            "--init-token",
            "--free",
            "--label",
            token.label(),
        ])
        .args(["--pin", user, "--so-pin", officer])
        .env("SOFTHSM2_CONF", token.conf())
        .output()
        .map_err(|cause| {
            Failure::because("cannot run softhsm2-util (Debian package softhsm2)", cause)
        })?;
    if output.status.success() {
        return Ok(());
    }
    Err(Failure::because(
        "softhsm2-util could not make a token",
        String::from_utf8_lossy(&output.stderr).trim(),
    ))
}

/// 16 characters, 80 random bits.
fn random_pin() -> Result<Zeroizing<String>, Failure> {
    let mut bytes = Zeroizing::new([0_u8; 10]);
    getrandom::fill(&mut *bytes).map_err(|cause| Failure::because("no random numbers", cause))?;
    Ok(Zeroizing::new(BASE32_NOPAD.encode(&*bytes)))
}

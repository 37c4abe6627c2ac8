//! A software token of one's own: `SoftHSM`, or kryoptic.

mod initialise;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use clap::ValueEnum;
use data_encoding::BASE32_NOPAD;
use zeroize::Zeroizing;

pub use initialise::initialise_here;

use crate::{
    Failure,
    pki::write_private,
    program::{find, repository},
};

/// Whose token it is. They differ in what they can do, which is the point of having two: what
/// the product must know of a token, it finds out by its probe, and never by the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Make {
    /// `SoftHSM` 2.6.1: OAEP with SHA-1 only, PKCS#11 2.40.
    #[value(name = "softhsm")]
    SoftHsm,
    /// kryoptic: OAEP with SHA-256, RFC 5649 by its standard number, no trusted keys.
    Kryoptic,
}

impl Make {
    /// Both.
    pub const ALL: [Self; 2] = [Self::SoftHsm, Self::Kryoptic];

    /// Its PKCS#11 module: where Debian's package `softhsm2` puts it, or where
    /// `ops/lib/kryoptic` builds it.
    #[must_use]
    pub fn module(self) -> PathBuf {
        match self {
            Self::SoftHsm => "/usr/lib/softhsm/libsofthsm2.so".into(),
            Self::Kryoptic => repository().join("target/kryoptic/debug/libkryoptic_pkcs11.so"),
        }
    }

    /// The environment variable that names its configuration.
    #[must_use]
    pub fn variable(self) -> &'static str {
        match self {
            Self::SoftHsm => "SOFTHSM2_CONF",
            Self::Kryoptic => "KRYOPTIC_CONF",
        }
    }

    /// The name of its configuration file.
    #[must_use]
    pub fn configuration(self) -> &'static str {
        match self {
            Self::SoftHsm => "softhsm2.conf",
            Self::Kryoptic => "kryoptic.toml",
        }
    }

    /// What the configuration says of a token whose objects are in this directory.
    pub(crate) fn settings(self, objects: &Path) -> String {
        let objects = objects.display();
        match self {
            Self::SoftHsm => format!(
                "directories.tokendir = {objects}\nobjectstore.backend = file\nlog.level = ERROR\n"
            ),
            Self::Kryoptic => format!(
                "[[slots]]\nslot = 1\ndbtype = \"sqlite\"\ndbargs = \"{objects}/token.sql\"\n"
            ),
        }
    }
}

/// A software token in a directory, for development and tests only: its configuration (name
/// it in the [`Make::variable`] of whoever uses the token), `tokens/` with the objects, `pin`
/// with the user PIN and `officer-pin` with the security officer's, readable by their owner
/// alone.
#[derive(Debug, Clone)]
pub struct Token {
    directory: PathBuf,
    label: String,
    make: Make,
}

impl Token {
    /// Makes a token labelled `label` in `directory`, with random PINs; one of this make that
    /// is there already is left as it is.
    ///
    /// # Errors
    /// When the module is missing or fails, or the directory cannot be written.
    pub fn create(directory: &Path, label: &str, make: Make) -> Result<Self, Failure> {
        let token = Self {
            directory: directory.to_owned(),
            label: label.to_owned(),
            make,
        };
        if token.pin_file().exists() {
            return Self::open(directory, label);
        }
        let objects = token.objects();
        fs::create_dir_all(&objects).map_err(Failure::with_file("create", &objects))?;
        let conf = token.conf();
        fs::write(&conf, make.settings(&objects)).map_err(Failure::with_file("write", &conf))?;
        let pins = Pins {
            officer: random_pin()?,
            user: random_pin()?,
        };
        initialise(make, &conf, label, &pins)?;
        write_private(
            &token.officer_pin_file(),
            format!("{}\n", *pins.officer).as_bytes(),
        )?;
        // Last, because the PIN file is what says that the token is complete.
        write_private(&token.pin_file(), format!("{}\n", *pins.user).as_bytes())?;
        Ok(token)
    }

    /// The token that was made in `directory`.
    ///
    /// # Errors
    /// When there is none.
    pub fn open(directory: &Path, label: &str) -> Result<Self, Failure> {
        let make = Make::ALL
            .into_iter()
            .find(|make| directory.join(make.configuration()).exists())
            .ok_or_else(|| Failure::new(format!("no token is in {}", directory.display())))?;
        Ok(Self {
            directory: directory.to_owned(),
            label: label.to_owned(),
            make,
        })
    }

    /// The token's label (`CKA_LABEL` in the words of the configuration).
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Whose it is.
    pub fn make(&self) -> Make {
        self.make
    }

    /// Its configuration file.
    pub fn conf(&self) -> PathBuf {
        self.directory.join(self.make.configuration())
    }

    /// Tells a program that is to use the token where it is.
    pub fn told_to<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env(self.make.variable(), self.conf())
    }

    /// The file with the user PIN and a line feed, mode 0600.
    pub fn pin_file(&self) -> PathBuf {
        self.directory.join("pin")
    }

    /// The file with the security officer's PIN and a line feed, mode 0600: in production it is
    /// in nobody's file.
    pub fn officer_pin_file(&self) -> PathBuf {
        self.directory.join("officer-pin")
    }

    /// The directory that holds the token's objects: moved away, the token is gone; moved
    /// back, it is there again.
    pub fn objects(&self) -> PathBuf {
        self.directory.join("tokens")
    }
}

/// Runs each of these tests, an `async fn(Make)`, on a token of either make.
#[macro_export]
macro_rules! on_both {
    ($($test:ident)*) => {
        mod softhsm {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $test() {
                    super::$test($crate::token::Make::SoftHsm).await;
                }
            )*
        }

        mod kryoptic {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $test() {
                    super::$test($crate::token::Make::Kryoptic).await;
                }
            )*
        }
    };
}

/// The two PINs of a token.
#[derive(Debug)]
pub(crate) struct Pins {
    pub(crate) officer: Zeroizing<String>,
    pub(crate) user: Zeroizing<String>,
}

/// Initialises the token that this configuration describes, in another process: the module reads
/// its configuration's place from the environment, and changing one's own is not safe. The PINs go
/// through a pipe, where no other user sees them.
pub(crate) fn initialise(make: Make, conf: &Path, label: &str, pins: &Pins) -> Result<(), Failure> {
    let failed = |cause| Failure::because("cannot run kms-dev", cause);
    let mut child = Command::new(find("kms-dev")?)
        .args(["initialise", "--label", label, "--module"])
        .arg(make.module())
        .env(make.variable(), conf)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    if let Some(input) = child.stdin.take() {
        initialise::send(input, pins).map_err(failed)?;
    }
    let output = child.wait_with_output().map_err(failed)?;
    if output.status.success() {
        return Ok(());
    }
    Err(Failure::because(
        "no token could be made",
        String::from_utf8_lossy(&output.stderr).trim(),
    ))
}

/// 16 characters, 80 random bits.
fn random_pin() -> Result<Zeroizing<String>, Failure> {
    let mut bytes = Zeroizing::new([0_u8; 10]);
    getrandom::fill(&mut *bytes).map_err(|cause| Failure::because("no random numbers", cause))?;
    Ok(Zeroizing::new(BASE32_NOPAD.encode(&*bytes)))
}

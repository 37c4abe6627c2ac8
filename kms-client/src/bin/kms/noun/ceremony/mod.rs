//! `kms ceremony`.

mod combine;
mod confirm;
mod entry;
mod minutes;
mod new;
mod shares;
mod sheet;

use crate::session::Setting;
use clap::Subcommand;
use combine::Combine;
use confirm::Confirm;
use kms_client::Error;
use new::New;
use sha2::{Digest, Sha256};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Make a key and its components: a sheet to print for each holder, and the minutes.
    ///
    /// On an offline machine, into a directory in memory: each sheet holds a component in the clear.
    /// So many components as the threshold says make the key; fewer tell nothing of it.
    #[command(after_help = "Examples:
  kms ceremony new --title \"Exchange key with Lyon\" --threshold 2 \\
      --holder carl --holder carol --holder chloe -O /dev/shm/ceremony")]
    New(New),
    /// Combine components that holders enter, and wrap the key for an import: nobody is asked.
    ///
    /// Each component is typed from its sheet, without being shown, or read from a file or a pipe.
    /// The parameters are used only if the key of that fingerprint signed them. The key is in memory
    /// alone, and is zeroised.
    #[command(after_help = "Examples:
  kms ceremony combine minutes.json --parameters transfer --signed-by 4f0c… -O wrapped.bin
  kms ceremony combine minutes.json --parameters transfer --signed-by 4f0c… -O wrapped.bin \\
      --component sheet-1.txt --component sheet-3.txt")]
    Combine(Combine),
    /// Compare minutes with the audit log: which record is the import of the key that was wrapped.
    #[command(after_help = "Examples:\n  kms --context auditor ceremony confirm minutes.json")]
    Confirm(Confirm),
}

impl Verb {
    pub(crate) async fn run(self, setting: &Setting) -> Result<(), Error> {
        match self {
            Self::New(asked) => asked.run(setting.screen()),
            Self::Combine(asked) => asked.run(setting.screen()),
            Self::Confirm(asked) => asked.run(&setting.session().await?).await,
        }
    }
}

/// For people, to the second.
fn now() -> String {
    format!("{:.0}", jiff::Timestamp::now())
}

/// SHA-256, in hexadecimal.
fn digest(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(bytes))
}

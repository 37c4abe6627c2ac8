//! `kms import`.

mod params;
mod receipt;
mod submit;
mod wrap;

use crate::session::{Session, Setting};
use clap::Subcommand;
use kms_client::{Error, Kind, Output, v1};
use kms_core::import::{Byok, fingerprint};
use kms_core::import_token::ImportToken;
use kms_core::name::IMPORT_PARAMETERS_KEY;
use std::io::Write;
use std::path::Path;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Get what is needed to wrap a key outside: signed parameters with a public key, and an import
    /// token.
    #[command(
        after_help = "Examples:\n  kms import params ingest-lyon/legacy --wrapping-key ingest-lyon/import -O transfer"
    )]
    Params(params::Params),
    /// Show the fingerprint of the key that signs import parameters and receipts: tell it to the
    /// partner's custodian by another route than the files.
    #[command(after_help = "Examples:\n  kms import signer")]
    Signer,
    /// Wrap a key for an import, on the machine of whoever has it: nobody is asked.
    ///
    /// The parameters are used only if the key of that fingerprint signed them. The raw key is read
    /// from a file that only its owner may read, or from a pipe, and is zeroised.
    #[command(after_help = "Examples:
  kms import wrap --parameters transfer --signed-by 4f0c… --key legacy.key -O transfer/wrapped.bin
  their-tool export legacy | kms import wrap --parameters transfer --signed-by 4f0c… --key - \\
      -O transfer/wrapped.bin
  kms import wrap --parameters transfer --signed-by 4f0c… --key legacy.key -O transfer/legacy.byok")]
    Wrap(wrap::Wrap),
    /// Try whether wrapped material would come in, without bringing it in.
    #[command(after_help = "Examples:
  kms import check ingest-lyon/legacy --token transfer/import-token --wrapped transfer/wrapped.bin")]
    Check(submit::Check),
    /// Hand in wrapped material; it is unwrapped inside the HSM as a new, primary version.
    #[command(after_help = "Examples:
  kms import submit ingest-lyon/legacy --token transfer/import-token --wrapped transfer/wrapped.bin \\
      --reason \"moved from the hospital's KMS\" -O transfer/receipt.json
  kms import submit ingest-lyon/legacy --token transfer/import-token --wrapped legacy.byok \\
      --reason \"moved from Azure\"")]
    Submit(submit::Submit),
    /// Verify the receipt of an import, without asking anybody.
    #[command(after_help = "Examples:
  kms import verify-receipt transfer/receipt.json --signed-by 4f0c… --wrapped transfer/wrapped.bin")]
    VerifyReceipt(receipt::VerifyReceipt),
}

impl Verb {
    pub(crate) async fn run(self, setting: &Setting) -> Result<(), Error> {
        match self {
            Self::Params(asked) => asked.run(&setting.session().await?).await,
            Self::Signer => signer(&setting.session().await?).await,
            Self::Wrap(asked) => asked.run(setting.screen()),
            Self::Check(asked) => asked.run(&setting.session().await?).await,
            Self::Submit(asked) => asked.run(&setting.session().await?).await,
            Self::VerifyReceipt(asked) => asked.run(setting.screen()),
        }
    }
}

async fn signer(session: &Session) -> Result<(), Error> {
    let versions = session.client.all_versions(IMPORT_PARAMETERS_KEY).await?;
    let signs = |version: &&v1::KeyVersion| version.state() == v1::VersionState::Active;
    let found = versions.iter().rfind(signs).ok_or_else(|| {
        Error::new(
            Kind::NotFound,
            "there is no key that signs import parameters, or it is not yours to see",
        )
    })?;
    if session.screen.is_json() {
        return session.screen.message(found);
    }
    session.screen.line(&fingerprint(&found.public_key))
}

/// What was wrapped: as it is, or out of a `.byok` file, which must be for the version that the
/// import token names.
fn wrapped(path: &Path, token: &[u8]) -> Result<Vec<u8>, Error> {
    let bytes = read(path)?;
    if path.extension().is_none_or(|ending| ending != "byok") {
        return Ok(bytes);
    }
    let invalid = |e: kms_core::Error| {
        let sentence = format!("{}: {}", path.display(), e.message());
        Error::new(Kind::Invalid, sentence)
    };
    let file = Byok::parse(&bytes).map_err(invalid)?;
    let (token, _) = ImportToken::parse(token).map_err(invalid)?;
    if file.kid != token.wrapping {
        let sentence = format!(
            "{}: it was wrapped for {} (header.kid), and the import token is for {}",
            path.display(),
            file.kid,
            token.wrapping
        );
        return Err(Error::new(Kind::Invalid, sentence));
    }
    if token.mechanism != Byok::MECHANISM {
        let sentence = format!(
            "{}: a .byok file is wrapped by {}, and the import token is for {}",
            path.display(),
            Byok::MECHANISM.name(),
            token.mechanism.name()
        );
        return Err(Error::new(Kind::Invalid, sentence));
    }
    Ok(file.ciphertext)
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|e| Error::file(&format!("read {}", path.display()), &e))
}

fn write(path: &Path, content: &[u8], force: bool) -> Result<(), Error> {
    let mut output = Output::file(path, force)?;
    output
        .write_all(content)
        .map_err(|e| Error::file(&format!("write {}", path.display()), &e))?;
    output.commit()
}

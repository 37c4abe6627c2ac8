//! `kms attestation`.

use crate::attested::Attested;
use crate::pem::{self, pem};
use crate::session::{Session, Setting};
use clap::{Args, Subcommand};
use data_encoding::HEXLOWER;
use kms_client::{Error, Kind, Output, name, v1};
use kms_core::attestation::verify;
use kms_core::name::ATTESTATION_KEY;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::io::Write;
use std::path::{Path, PathBuf};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Get the attestation of a destroyed version, or of a whole erased space, and keep it: NAME.json
    /// (the statement), NAME.sig (its signature) and NAME.pem (the key that signed).
    ///
    /// It is signed in the HSM when it is asked for, and says what holds then. It is provisional
    /// until every declared backup of the token that may hold the key has expired: then get it again.
    #[command(after_help = "Examples:
  kms attestation get ingest-lyon/object/1 -O attestations
  kms attestation get project-01 -O attestations
  openssl dgst -sha256 -verify attestations/project-01.pem \\
      -signature attestations/project-01.sig attestations/project-01.json")]
    Get(Get),
    /// Verify an attestation, without asking anybody.
    #[command(after_help = "Examples:
  kms attestation verify attestations/project-01.json --key emc2-attestation.pem
  kms attestation verify project-01.json --signature project-01.sig --key project-01.pem")]
    Verify(Verify),
    /// Show the public key that verifies attestations, for a third party to get on another way than
    /// the attestations.
    #[command(after_help = "Examples:
  kms attestation key > emc2-attestation.pem
  kms attestation key --version 1 > emc2-attestation-1.pem")]
    Key {
        /// An earlier version of the key; the one that signs now when none is given.
        #[arg(long, value_name = "N")]
        version: Option<u32>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Get {
    /// A version, for example ingest-lyon/object/1, or a space, for example project-01.
    #[arg(value_name = "NAME", value_parser = name::destroyed)]
    name: String,
    /// Directory for the three files; made if it does not exist.
    #[arg(short = 'O', long = "output", value_name = "DIR", default_value = ".")]
    directory: PathBuf,
    /// Replace files that exist.
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The statement, NAME.json.
    statement: PathBuf,
    /// Its signature; by default NAME.sig beside it.
    #[arg(long, value_name = "FILE")]
    signature: Option<PathBuf>,
    /// The public key that you trust, got on another way; by default NAME.pem beside it, which
    /// proves only that the three files belong together.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

impl Verb {
    pub(crate) async fn run(self, setting: &Setting) -> Result<(), Error> {
        match self {
            Self::Get(asked) => asked.run(&setting.session().await?).await,
            Self::Verify(asked) => asked.run(setting),
            Self::Key { version } => key(&setting.session().await?, version).await,
        }
    }
}

impl Get {
    async fn run(self, session: &Session) -> Result<(), Error> {
        let request = v1::GetAttestationRequest {
            name: self.name.clone(),
        };
        let answer = session.client.get_attestation(request).await?;
        let attested = Attested::new(&answer.statement, &answer.public_key)?;
        signed(&answer.statement, &answer.signature, &answer.public_key)?;
        std::fs::create_dir_all(&self.directory)
            .map_err(|e| Error::file(&format!("make {}", self.directory.display()), &e))?;
        self.write("json", &answer.statement)?;
        self.write("sig", &answer.signature)?;
        self.write("pem", pem(&answer.public_key).as_bytes())?;
        if session.screen.is_json() {
            return session.screen.message(&answer);
        }
        attested.show(session.screen)?;
        session.screen.remark(&format!(
            "written: {}, .sig, .pem",
            self.path("json").display()
        ));
        Ok(())
    }

    fn path(&self, ending: &str) -> PathBuf {
        let name = name::short(&self.name).replace('/', ".");
        self.directory.join(format!("{name}.{ending}"))
    }

    fn write(&self, ending: &str, content: &[u8]) -> Result<(), Error> {
        let path = self.path(ending);
        let mut output = Output::file(&path, self.force)?;
        output
            .write_all(content)
            .map_err(|e| Error::file(&format!("write {}", path.display()), &e))?;
        output.commit()
    }
}

impl Verify {
    fn run(self, setting: &Setting) -> Result<(), Error> {
        let beside = |given: Option<PathBuf>, ending: &str| {
            given.unwrap_or_else(|| self.statement.with_extension(ending))
        };
        let pinned = self.key.is_some();
        let statement = read(&self.statement)?;
        let signature = read(&beside(self.signature, "sig"))?;
        let public_key = pem::read(&beside(self.key, "pem"))?;
        signed(&statement, &signature, &public_key)?;
        let attested = Attested::new(&statement, &public_key)?;
        let screen = setting.screen();
        if screen.is_json() {
            return screen.json(&json!({
                "verified": true,
                "keyGiven": pinned,
                "keySha256": sha256(&public_key),
                "statement": attested.statement,
            }));
        }
        attested.show(screen)?;
        if !pinned {
            screen.remark(
                "the key came with the statement: compare its SHA-256 with what the deployment \
                 tells you on another way, or give the key that you trust (--key)",
            );
        }
        Ok(())
    }
}

/// The public key, PEM, alone on the standard output.
async fn key(session: &Session, number: Option<u32>) -> Result<(), Error> {
    let versions = session.client.all_versions(ATTESTATION_KEY).await?;
    let wanted = |version: &&v1::KeyVersion| match number {
        Some(number) => version.name.ends_with(&format!("/versions/{number}")),
        None => version.state() == v1::VersionState::Active,
    };
    let found = versions.iter().rfind(wanted).ok_or_else(|| {
        Error::new(
            Kind::NotFound,
            "there is no such version of the key that signs attestations",
        )
    })?;
    if session.screen.is_json() {
        return session.screen.message(found);
    }
    session.screen.text(&pem(&found.public_key))?;
    session.screen.remark(&format!(
        "{}: SHA-256 {}",
        found.name,
        sha256(&found.public_key)
    ));
    Ok(())
}

fn signed(statement: &[u8], signature: &[u8], public_key: &[u8]) -> Result<(), Error> {
    verify(statement, signature, public_key)
        .map_err(|e| Error::new(Kind::Invalid, format!("NOT VERIFIED: {e}")))
}

/// Of a key's SubjectPublicKeyInfo, hexadecimal.
pub(crate) fn sha256(public_key: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(public_key))
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|e| Error::file(&format!("read {}", path.display()), &e))
}

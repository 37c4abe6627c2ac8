//! `kms import`.

use super::{Move, Once, version};
use crate::pem::pem;
use crate::session::Session;
use crate::table::{Table, time_and_age};
use clap::{Args, Subcommand, ValueEnum};
use kms_client::{Client, Error, Output, name, v1};
use std::io::Write;
use std::path::{Path, PathBuf};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Get what is needed to wrap a key outside: a public key and an import token.
    #[command(
        after_help = "Examples:\n  kms import params ingest-lyon/legacy --wrapping-key ingest-lyon/import -O transfer"
    )]
    Params(Params),
    /// Hand in wrapped material; it is unwrapped inside the HSM as a new, primary version.
    #[command(after_help = "Examples:
  kms import submit ingest-lyon/legacy --token transfer/import-token --wrapped transfer/wrapped.bin \\
      --reason \"moved from the hospital's KMS\"")]
    Submit(Submit),
}

#[derive(Debug, Args)]
pub(crate) struct Params {
    /// The key that will receive the material, of origin external.
    #[arg(value_parser = name::key)]
    key: String,
    /// The import-wrapping key of the same space.
    #[arg(long, value_name = "KEY", value_parser = name::key)]
    wrapping_key: String,
    /// How the material will be wrapped.
    #[arg(long, value_enum, default_value = "oaep-sha256")]
    mechanism: Mechanism,
    /// Directory for public.der, public.pem and import-token; made if it does not exist.
    #[arg(short = 'O', long = "output", value_name = "DIR")]
    directory: PathBuf,
    /// Replace files that exist.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    once: Once,
}

#[derive(Debug, Args)]
pub(crate) struct Submit {
    /// The key that receives the material.
    #[arg(value_parser = name::key)]
    key: String,
    /// The import token that came with the public key.
    #[arg(long, value_name = "FILE")]
    token: PathBuf,
    /// The wrapped material.
    #[arg(long, value_name = "FILE")]
    wrapped: PathBuf,
    #[command(flatten)]
    moving: Move,
}

/// A wrapping mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mechanism {
    /// RSAES-OAEP with SHA-256 (RFC 8017).
    OaepSha256,
    /// RSAES-OAEP with SHA-1, only where the HSM has nothing better.
    OaepSha1,
}

impl Verb {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Error> {
        match self {
            Self::Params(asked) => asked.run(session).await,
            Self::Submit(asked) => asked.run(session).await,
        }
    }
}

impl Params {
    async fn run(self, session: &Session) -> Result<(), Error> {
        let answer = session
            .client
            .get_import_parameters(v1::GetImportParametersRequest {
                name: self.key.clone(),
                wrapping_key: self.wrapping_key.clone(),
                mechanism: v1::WrappingMechanism::from(self.mechanism).into(),
                request_id: self.once.request_id.clone(),
            })
            .await?;
        std::fs::create_dir_all(&self.directory)
            .map_err(|e| Error::file(&format!("make {}", self.directory.display()), &e))?;
        self.write("public.der", &answer.public_key)?;
        self.write("public.pem", pem(&answer.public_key).as_bytes())?;
        self.write("import-token", &answer.import_token)?;
        if session.screen.is_json() {
            return session.screen.show(&answer, |_| Table::columns([]));
        }
        let table = Table::fields([
            ("key", answer.name.clone()),
            ("wrapped under", answer.wrapping_version.clone()),
            (
                "material",
                format!("exactly {} bytes", answer.material_length),
            ),
            ("token expires", time_and_age(answer.expire_time.as_ref())),
        ]);
        session.screen.line(&table.to_string())?;
        session.screen.line(&format!(
            "\nWrap the material where it is, then hand it in:\n\n{}",
            self.next()
        ))
    }

    fn write(&self, name: &str, content: &[u8]) -> Result<(), Error> {
        let path = self.directory.join(name);
        let mut output = Output::file(&path, self.force)?;
        output
            .write_all(content)
            .map_err(|e| Error::file(&format!("write {}", path.display()), &e))?;
        output.commit()
    }

    /// The two commands that follow; stock OpenSSL makes what the HSM unwraps.
    fn next(&self) -> String {
        let digest = match self.mechanism {
            Mechanism::OaepSha256 => "sha256",
            Mechanism::OaepSha1 => "sha1",
        };
        let directory = self.directory.display();
        let key = name::short(&self.key);
        format!(
            "  openssl pkeyutl -encrypt -pubin -inkey {directory}/public.pem \\\n      \
             -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:{digest} -pkeyopt rsa_mgf1_md:{digest} \\\n      \
             -in material.bin -out {directory}/wrapped.bin\n  \
             kms import submit {key} --token {directory}/import-token \\\n      \
             --wrapped {directory}/wrapped.bin --reason \"...\""
        )
    }
}

impl Submit {
    async fn run(self, session: &Session) -> Result<(), Error> {
        let request = v1::ImportKeyRequest {
            name: self.key,
            import_token: read(&self.token)?,
            wrapped_key: read(&self.wrapped)?,
            reason: self.moving.reason,
            request_id: self.moving.once.request_id,
            etag: self.moving.etag,
        };
        session.screen.show(
            &session.carry(request, Client::import_key).await?,
            version::fields,
        )
    }
}

impl From<Mechanism> for v1::WrappingMechanism {
    fn from(mechanism: Mechanism) -> Self {
        match mechanism {
            Mechanism::OaepSha256 => Self::RsaOaepSha256,
            Mechanism::OaepSha1 => Self::RsaOaepSha1,
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|e| Error::file(&format!("read {}", path.display()), &e))
}

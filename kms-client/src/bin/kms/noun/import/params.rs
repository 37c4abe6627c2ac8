//! `kms import params`.

use super::write;
use crate::intake::Mechanism;
use crate::noun::Once;
use crate::pem::pem;
use crate::session::Session;
use crate::table::{Table, time_and_age};
use clap::Args;
use kms_client::{Error, Kind, name, v1};
use kms_core::import::{Parameters, fingerprint};
use kms_core::key::Wrapping;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct Params {
    /// The key that will receive the material, of origin external.
    #[arg(value_parser = name::key)]
    key: String,
    /// The import-wrapping or exchange key of the same space.
    #[arg(long, value_name = "KEY", value_parser = name::key)]
    wrapping_key: String,
    /// How the material will be wrapped; as the wrapping key was made for when none is given.
    #[arg(long, value_enum)]
    mechanism: Option<Mechanism>,
    /// Directory for parameters.json, .sig and .pem, public.der, public.pem and import-token; made
    /// if it does not exist.
    #[arg(short = 'O', long = "output", value_name = "DIR")]
    directory: PathBuf,
    /// Replace files that exist.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    once: Once,
}

impl Params {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Error> {
        let mechanism = self.mechanism.map(v1::WrappingMechanism::from);
        let answer = session
            .client
            .get_import_parameters(v1::GetImportParametersRequest {
                name: self.key.clone(),
                wrapping_key: self.wrapping_key.clone(),
                mechanism: mechanism.unwrap_or_default().into(),
                request_id: self.once.request_id.clone(),
            })
            .await?;
        let said = Parameters::parse(&answer.statement)
            .map_err(|e| Error::new(Kind::Internal, e.to_string()))?;
        std::fs::create_dir_all(&self.directory)
            .map_err(|e| Error::file(&format!("make {}", self.directory.display()), &e))?;
        self.write("parameters.json", &answer.statement)?;
        self.write("parameters.sig", &answer.signature)?;
        self.write("parameters.pem", pem(&answer.signing_key).as_bytes())?;
        if !answer.public_key.is_empty() {
            self.write("public.der", &answer.public_key)?;
            self.write("public.pem", pem(&answer.public_key).as_bytes())?;
        }
        self.write("import-token", &answer.import_token)?;
        if session.screen.is_json() {
            return session.screen.show(&answer, |_| Table::columns([]));
        }
        let table = Table::fields([
            ("key", answer.name.clone()),
            ("wrapped under", answer.wrapping_version.clone()),
            ("mechanism", said.mechanism.name().to_owned()),
            (
                "unwrapped",
                if said.two_steps {
                    "in two steps inside the HSM: WEAKER".to_owned()
                } else {
                    "inside the HSM".to_owned()
                },
            ),
            (
                "material",
                format!("exactly {} bytes", answer.material_length),
            ),
            ("token expires", time_and_age(answer.expire_time.as_ref())),
            ("signed by", fingerprint(&answer.signing_key)),
        ]);
        session.screen.line(&table.to_string())?;
        session.screen.line(&format!(
            "\nWrap the material where it is, then hand it in:\n\n{}",
            self.next(&said, &fingerprint(&answer.signing_key))
        ))
    }

    fn write(&self, name: &str, content: &[u8]) -> Result<(), Error> {
        write(&self.directory.join(name), content, self.force)
    }

    /// The commands that follow: ours, or what stock OpenSSL needs to make what the HSM unwraps.
    fn next(&self, said: &Parameters, signer: &str) -> String {
        let directory = self.directory.display();
        let key = name::short(&self.key);
        let openssl = match said.mechanism {
            Wrapping::OaepSha256 => Some("sha256"),
            Wrapping::OaepSha1 => Some("sha1"),
            Wrapping::RsaAesSha256 | Wrapping::RsaAesSha1 | Wrapping::AesKw | Wrapping::AesKwp => {
                None
            }
        };
        let under = match said.mechanism {
            Wrapping::AesKw | Wrapping::AesKwp => " --under exchange.key",
            Wrapping::OaepSha256
            | Wrapping::OaepSha1
            | Wrapping::RsaAesSha256
            | Wrapping::RsaAesSha1 => "",
        };
        let openssl = openssl.map(|digest| {
            format!(
                "or, without it, once the signature of {directory}/parameters.json is verified:\n\n  \
                 openssl pkeyutl -encrypt -pubin -inkey {directory}/public.pem \\\n      \
                 -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:{digest} -pkeyopt rsa_mgf1_md:{digest} \\\n      \
                 -in material.bin -out {directory}/wrapped.bin\n\n"
            )
        });
        format!(
            "  kms import wrap --parameters {directory} --key material.bin{under} \\\n      \
             --signed-by {signer} \\\n      \
             -O {directory}/wrapped.bin\n\n{}  \
             kms import submit {key} --token {directory}/import-token \\\n      \
             --wrapped {directory}/wrapped.bin --reason \"...\"",
            openssl.unwrap_or_default()
        )
    }
}

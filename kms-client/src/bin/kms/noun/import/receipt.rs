//! `kms import verify-receipt`: offline.

use super::read;
use crate::pem;
use crate::screen::Screen;
use crate::table::Table;
use clap::Args;
use data_encoding::HEXLOWER;
use kms_client::{Error, Kind};
use kms_core::import::{Byok, Receipt, signed_by};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct VerifyReceipt {
    /// The receipt; its signature (.sig) and the key that signed (.pem) are beside it.
    receipt: PathBuf,
    /// The fingerprint of the key that signs, as you were told by another route.
    #[arg(long, value_name = "FINGERPRINT")]
    signed_by: String,
    /// What was handed in: the receipt must be for that.
    #[arg(long, value_name = "FILE")]
    wrapped: Option<PathBuf>,
}

impl VerifyReceipt {
    pub(crate) fn run(self, screen: Screen) -> Result<(), Error> {
        let not = |e: kms_core::Error| {
            Error::new(Kind::Invalid, format!("NOT VERIFIED: {}", e.message()))
        };
        let bytes = read(&self.receipt)?;
        let signature = read(&self.receipt.with_extension("sig"))?;
        let key = pem::read(&self.receipt.with_extension("pem"))?;
        signed_by(&bytes, &signature, &key, &self.signed_by).map_err(not)?;
        let receipt = Receipt::parse(&bytes).map_err(not)?;
        if let Some(path) = &self.wrapped {
            let mut wrapped = read(path)?;
            if path.extension().is_some_and(|ending| ending == "byok") {
                wrapped = Byok::parse(&wrapped).map_err(not)?.ciphertext;
            }
            if HEXLOWER.encode(&Sha256::digest(&wrapped)) != receipt.wrapped_sha256 {
                let sentence = format!(
                    "NOT VERIFIED: the receipt is for other wrapped material than {}",
                    path.display()
                );
                return Err(Error::new(Kind::Invalid, sentence));
            }
        }
        if screen.is_json() {
            return screen.json(&json!({ "verified": true, "receipt": receipt }));
        }
        let steps = if receipt.two_steps {
            ", in two steps (weaker)"
        } else {
            ""
        };
        let table = Table::fields([
            ("came in as", receipt.version.to_string()),
            ("class", receipt.class.to_string()),
            ("deployment", receipt.deployment.name.to_string()),
            (
                "token",
                format!("{}, serial {}", receipt.token.label, receipt.token.serial),
            ),
            ("fingerprint", receipt.fingerprint.clone()),
            (
                "wrapped material",
                format!("SHA-256 {}", receipt.wrapped_sha256),
            ),
            ("unwrapped by", receipt.wrapper.to_string()),
            ("mechanism", format!("{}{steps}", receipt.mechanism.name())),
            ("handed in by", receipt.by.clone()),
            ("imported", receipt.imported.to_string()),
            ("issued", receipt.issued.to_string()),
            ("says", receipt.says.clone()),
        ]);
        screen.line(&table.to_string())
    }
}

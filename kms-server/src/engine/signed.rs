//! What leaves here signed in the HSM by a key of the deployment's own.

use super::import::fingerprint;
use super::{Engine, Reply, Seat};
use crate::hsm::{Op, Work};
use kms_core::attestation::{Deployed, Token, verify};
use kms_core::decide::import_parameters_key;
use kms_core::error::{Error, Result};
use kms_core::import::Receipt;
use kms_core::key::Version;
use kms_core::name::VersionName;
use kms_core::permit::{Permit, SystemOp};
use serde::{Deserialize, Serialize};

/// A statement and its signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// Exactly the bytes that are signed.
    pub statement: Vec<u8>,
    /// An ECDSA-Sig-Value, DER.
    pub signature: Vec<u8>,
    /// SubjectPublicKeyInfo, DER.
    pub public_key: Vec<u8>,
    /// The version that signed.
    pub signer: VersionName,
}

impl Engine {
    /// Signs. What leaves here is kept for years: it verifies, or it does not leave.
    pub(super) async fn sign(
        &self,
        permit: &Permit,
        signer: &Version,
        statement: Vec<u8>,
    ) -> Result<Signed> {
        let work = Work {
            id: signer.id,
            fingerprint: fingerprint(signer)?,
            op: Op::Sign {
                message: statement.clone(),
            },
        };
        let signed = self.parts.hsm.apply(permit, vec![work]).await?;
        let signed = signed.into_iter().next();
        let signature = signed.ok_or_else(|| Error::internal("the HSM gave no answer"))??;
        let public_key = signer.learned.as_ref().and_then(|l| l.public_key.clone());
        let public_key =
            public_key.ok_or_else(|| Error::internal("a signing key without a public key"))?;
        verify(&statement, &signature, &public_key)
            .map_err(|e| Error::internal(format!("a signature does not verify: {e}")))?;
        Ok(Signed {
            statement,
            signature: signature.to_vec(),
            public_key,
            signer: signer.name.clone(),
        })
    }

    /// The token, as what is signed names it.
    pub(super) fn token_at_hand(&self) -> Token {
        let report = self.parts.hsm.report();
        Token {
            label: report.label,
            serial: report.serial,
            model: report.model,
        }
    }

    /// What an import gives back: the version, and its receipt. The import is done and recorded: a
    /// receipt that cannot be signed now is signed when the same request is sent again.
    pub(super) async fn with_receipt(&self, reply: Reply) -> Reply {
        let Reply::Resource(made) = reply else {
            return reply;
        };
        let seat = self.seat.load_full();
        let receipt = match made.value.as_version() {
            Some(version) => self.receipt(&seat, version).await,
            None => Err(Error::internal("an import made no version")),
        };
        let receipt = receipt.map_or_else(
            |error| {
                tracing::warn!(error = error.message(), "an import has no receipt yet");
                None
            },
            |signed| Some(Box::new(signed)),
        );
        Reply::Imported(made, receipt)
    }

    async fn receipt(&self, seat: &Seat, version: &Version) -> Result<Signed> {
        let signer = import_parameters_key(&seat.view)?;
        let name = version.name.key();
        let (key, _) = seat.view.key(name).ok_or_else(|| Error::not_found(name))?;
        let whose = (Deployed::from(seat.view.founded()?), self.token_at_hand());
        let receipt = Receipt::of(whose, key, version, self.now())?;
        let permit = Permit::system(SystemOp::Receipt);
        self.sign(&permit, signer, receipt.encode()?).await
    }
}

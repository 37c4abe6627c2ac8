//! The same material, when it comes in again. The token makes a value of a constant by it; the
//! deployment's digest key makes of that what is kept, so that nothing kept or shown tells anything
//! of the material.

use super::import::fingerprint;
use super::{Engine, Seat};
use crate::hsm::{Capability, Op, Work};
use data_encoding::HEXLOWER;
use kms_core::decide::digest_key;
use kms_core::error::{Error, Result};
use kms_core::key::{KeySpec, Learned};
use kms_core::permit::Permit;
use kms_core::view::View;
use zeroize::Zeroizing;

/// Sets these digests apart from those of records and runs.
const LABEL: &[u8] = b"emc2-kms/recognised-material/v1";

impl Engine {
    /// What is told of material that has just come in, with what recognises it, once it is known
    /// that nothing else here is the same.
    ///
    /// # Errors
    /// `Conflict` when the same material is here already, or was.
    pub(super) async fn recognised(
        &self,
        permit: &Permit,
        seat: &Seat,
        spec: &KeySpec,
        learned: Learned,
    ) -> Result<Learned> {
        let recognised = self.mark(permit, &seat.view, spec, &learned).await?;
        let versions = seat.view.under("spaces/");
        let mut versions = versions.filter_map(|stamped| stamped.value.as_version());
        let same = versions.find(|version| {
            let mark = version.learned.as_ref().map(|l| &l.recognised);
            recognised.is_some() && version.id != spec.id && mark == Some(&recognised)
        });
        match same {
            None => Ok(Learned {
                recognised,
                ..learned
            }),
            Some(other) => {
                let here = other.name.key().space() == spec.label.key().space();
                let whose = if here {
                    format!("as {}", other.name)
                } else {
                    "in another space".to_owned()
                };
                Err(Error::conflict(format!(
                    "this very material came in before, {whose}; one key has one use, and what was \
                     destroyed does not come back: have a new key made at its source"
                )))
            }
        }
    }

    /// `None` where the token cannot tell, or the deployment has no digest key yet.
    async fn mark(
        &self,
        permit: &Permit,
        view: &View,
        spec: &KeySpec,
        learned: &Learned,
    ) -> Result<Option<String>> {
        let Some(digests) = digest_key(view)? else {
            return Ok(None);
        };
        if !self.parts.hsm.report().has(Capability::Recognition) {
            return Ok(None);
        }
        let block = Work {
            id: spec.id,
            fingerprint: learned.fingerprint.clone(),
            op: Op::Recognise {
                algorithm: spec.class.algorithm(),
            },
        };
        let block = self.single(permit, block).await?;
        let input = Zeroizing::new([LABEL, block.as_slice()].concat());
        let digest = Work {
            id: digests.id,
            fingerprint: fingerprint(digests)?,
            op: Op::Hmac { input },
        };
        let digest = self.single(permit, digest).await?;
        Ok(Some(HEXLOWER.encode(&digest)))
    }

    /// One operation, alone.
    pub(super) async fn single(&self, permit: &Permit, work: Work) -> Result<crate::hsm::Output> {
        let outputs = self.parts.hsm.apply(permit, vec![work]).await?;
        let output = outputs.into_iter().next();
        output.ok_or_else(|| Error::internal("the HSM gave no answer"))?
    }
}

//! Digests that only the HSM can make: what was evaluated can be recognised by whoever has it, and
//! told by nobody from the digest, however few identifiers there are.

use super::Engine;
use super::import::fingerprint;
use crate::hsm::{Op, Work};
use kms_core::decide::digest_key;
use kms_core::error::{Error, Result};
use kms_core::permit::Permit;
use kms_core::view::View;
use zeroize::Zeroizing;

impl Engine {
    /// HMAC-SHA-256 of each input by the deployment's own digest key, in one visit; `None` in a
    /// deployment that has no such key yet.
    pub(super) async fn digests(
        &self,
        permit: &Permit,
        view: &View,
        inputs: Vec<Vec<u8>>,
    ) -> Result<Option<Vec<Vec<u8>>>> {
        let Some(key) = digest_key(view)? else {
            return Ok(None);
        };
        let (id, fingerprint) = (key.id, fingerprint(key)?);
        let work = inputs.into_iter().map(|input| Work {
            id,
            fingerprint: fingerprint.clone(),
            op: Op::Hmac {
                input: Zeroizing::new(input),
            },
        });
        let outputs = self.parts.hsm.apply(permit, work.collect()).await?;
        let digests: Result<Vec<Vec<u8>>> = outputs
            .into_iter()
            .map(|output| output.map(|digest| digest.to_vec()))
            .collect();
        digests.map(Some)
    }
}

/// What the HSM gave, one digest for each input.
pub(super) fn taken(digests: &mut Vec<Vec<u8>>) -> Result<Vec<u8>> {
    let next = digests.pop();
    next.ok_or_else(|| Error::internal("the HSM gave too few answers"))
}

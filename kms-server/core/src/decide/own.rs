//! The deployment's own keys.

use crate::error::{Error, Result};
use crate::key::Version;
use crate::name::{ATTESTATION_KEY, DIGEST_KEY, IMPORT_PARAMETERS_KEY, IMPORT_TOKEN_KEY};
use crate::view::View;

/// The deployment's own key that authenticates import tokens.
///
/// # Errors
/// `Internal` when `init` did not make it.
pub fn import_token_key(view: &View) -> Result<&Version> {
    own(view, IMPORT_TOKEN_KEY)?.ok_or_else(|| Error::internal("no import-token key"))
}

/// The deployment's own key that signs attestations.
///
/// # Errors
/// `State` when this deployment has none.
pub fn attestation_key(view: &View) -> Result<&Version> {
    own(view, ATTESTATION_KEY)?.ok_or_else(|| {
        Error::state(
            "this deployment has no key that signs attestations: when it was made, its HSM had no \
             ECDSA on P-256, or the service knew no attestations",
        )
    })
}

/// The deployment's own key that signs import parameters and receipts of imports.
///
/// # Errors
/// `State` when this deployment has none.
pub fn import_parameters_key(view: &View) -> Result<&Version> {
    own(view, IMPORT_PARAMETERS_KEY)?.ok_or_else(|| {
        Error::state(
            "this deployment has no key that signs import parameters, and without a signature \
             nobody can tell whose public key they wrap for: a start of the service makes it where \
             the HSM has ECDSA on P-256",
        )
    })
}

/// The deployment's own key that makes the digests of records and runs; `None` in a deployment of
/// an earlier release, until it is made at a start.
///
/// # Errors
/// `Internal` when its name is no name.
pub fn digest_key(view: &View) -> Result<Option<&Version>> {
    own(view, DIGEST_KEY)
}

/// The primary version of a key of the deployment's own.
fn own<'a>(view: &'a View, name: &str) -> Result<Option<&'a Version>> {
    let key = view.key(&name.parse()?);
    Ok(key.and_then(|(key, _)| view.primary(key)))
}

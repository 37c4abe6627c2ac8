//! Certificates for tests that need a caller and no handshake.

use kms_core::certificate::Certificate;
use rcgen::{CertificateParams, KeyPair, PKCS_ED25519, SanType, SigningKey as _};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// A certificate and its Ed25519 key, PKCS#8.
type Holder = (Certificate, Vec<u8>);

/// A certificate that names this URI, made once for each.
///
/// # Panics
/// When the URI is no identity.
pub fn of(uri: &str) -> Certificate {
    holder(uri).0
}

/// What the key of that certificate makes of a message: an Ed25519 signature.
///
/// # Panics
/// As [`of`].
pub fn sign(uri: &str, message: &[u8]) -> Vec<u8> {
    let (_, key) = holder(uri);
    let key = rustls_pki_types::PrivatePkcs8KeyDer::from(key);
    let key = KeyPair::from_pkcs8_der_and_sign_algo(&key, &PKCS_ED25519).expect("its key");
    key.sign(message).expect("a signature")
}

fn holder(uri: &str) -> Holder {
    static MADE: Mutex<BTreeMap<String, Holder>> = Mutex::new(BTreeMap::new());
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    made.entry(uri.to_owned())
        .or_insert_with(|| make(uri))
        .clone()
}

fn make(uri: &str) -> Holder {
    let key = KeyPair::generate_for(&PKCS_ED25519).expect("a key");
    let mut parameters = CertificateParams::default();
    let name = uri.to_owned().try_into();
    parameters.subject_alt_names = vec![SanType::URI(name.expect("a URI of ASCII characters"))];
    let signed = parameters.self_signed(&key).expect("a certificate");
    let certificate = Certificate::parse(signed.der());
    let certificate = certificate.unwrap_or_else(|error| panic!("{uri}: {error}"));
    (certificate, key.serialize_der())
}

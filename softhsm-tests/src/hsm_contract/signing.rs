//! What every HSM must do with a key that signs.

use kms_core::attestation::verify;
use kms_core::class::Class;
use kms_core::error::Kind;
use kms_server::hsm::Hsm;

use crate::hsm_bench::{any, one, sign, spec};

/// What an attestation key signs, another implementation verifies with its public key alone.
pub async fn what_is_signed_verifies_elsewhere(hsm: &dyn Hsm) {
    let (ours, theirs) = (
        spec(Class::ServiceAttestation),
        spec(Class::ServiceAttestation),
    );
    let key = hsm.generate(&any(), &ours).await.unwrap();
    let other = hsm.generate(&any(), &theirs).await.unwrap();
    let public = key.public_key.clone().unwrap();
    for message in [&b""[..], b"a statement", &[7; 100_000]] {
        let signature = one(hsm, ours.id, &key, sign(message)).await.unwrap();
        verify(message, &signature, &public).unwrap();
        assert!(verify(b"another", &signature, &public).is_err());
        let stranger = other.public_key.as_ref().unwrap();
        assert!(verify(message, &signature, stranger).is_err());
    }
    // A message that the fingerprint signs is nobody's.
    let reserved = [&b"emc2-kms/fingerprint/v1"[..], &ours.id.to_bytes()].concat();
    let error = one(hsm, ours.id, &key, sign(&reserved)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Internal);
}

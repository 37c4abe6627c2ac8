//! What a signing key on a curve must not lend itself to.

use cryptoki::{
    error::Error,
    mechanism::{
        Mechanism,
        elliptic_curve::{EcKdf, Ecdh1DeriveParams},
    },
    object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle},
    session::Session,
};

use super::abuse::said;

/// The curve's name, DER of OID 1.2.840.10045.3.1.7. Written here once more, on purpose.
const P256: [u8; 10] = [6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];

/// A P-256 pair of one's own, without any restriction.
pub(super) fn pair(session: &Session) -> Result<(ObjectHandle, ObjectHandle), Error> {
    let public = [Attribute::EcParams(P256.to_vec())];
    let private = [
        Attribute::Sensitive(false),
        Attribute::Extractable(true),
        Attribute::Sign(true),
        Attribute::Derive(true),
    ];
    session.generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private)
}

/// Diffie-Hellman with a key that is for signing.
pub(super) fn agree(session: &Session, key: ObjectHandle) -> Result<(), String> {
    let (theirs, _) = pair(session).map_err(said)?;
    let shown = session
        .get_attributes(theirs, &[AttributeType::EcPoint])
        .map_err(said)?;
    let Some(Attribute::EcPoint(point)) = shown.into_iter().next() else {
        return Err("no point".to_owned());
    };
    // Bare, without the OCTET STRING around it.
    let bare = point.get(2..).unwrap_or_default();
    let mechanism = Mechanism::Ecdh1Derive(Ecdh1DeriveParams::new(EcKdf::null(), bare));
    let template = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::GENERIC_SECRET),
        Attribute::ValueLen(32.into()),
        Attribute::Token(false),
        Attribute::Sensitive(false),
        Attribute::Extractable(true),
    ];
    session
        .derive_key(&mechanism, key, &template)
        .map_err(said)?;
    Ok(())
}

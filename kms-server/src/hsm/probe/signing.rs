//! Whether this token signs.

use kms_core::attestation::verify;
use kms_pkcs11::{Attribute, Mechanism, MechanismType, P256, Template};
use sha2::{Digest, Sha256};

use super::{Bench, Found, Missing, PLAINTEXT};

impl Bench<'_> {
    pub(super) fn ecdsa(&self) -> Found {
        let public = Template::from([
            Attribute::Token(false),
            Attribute::Private(false),
            Attribute::EcParams(P256.to_vec()),
        ]);
        let private = Template::from([
            Attribute::Token(false),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Sign(true),
            Attribute::AllowedMechanisms(vec![MechanismType::ECDSA]),
        ]);
        let generate = Mechanism::Plain(MechanismType::EC_KEY_PAIR_GEN);
        let (public, private) = self.session.generate_pair(&generate, &public, &private)?;
        let public = self.session.public_key(public)?;
        let signature = self
            .session
            .sign_ecdsa(private, &Sha256::digest(PLAINTEXT))?;
        match verify(PLAINTEXT, &signature, &public) {
            Ok(()) => Ok("what it signs verifies in another implementation".to_owned()),
            Err(_) => Err(Missing::Wrong("what it signs does not verify")),
        }
    }
}

//! Whether this token keeps its word about trusted keys.

use kms_pkcs11::{Attribute, Kind, Mechanism, MechanismType, Template};

use super::{Bench, Found, Missing};

impl Bench<'_> {
    /// What an exportable key leans on: its `CKA_WRAP_WITH_TRUSTED` means nothing where the user can
    /// make a trusted key of their own.
    pub(super) fn trusted_keys(&self) -> Found {
        let trusted = Template::from([
            Attribute::Token(false),
            Attribute::Private(false),
            // Small and quick: it lives for milliseconds and wraps nothing.
            Attribute::ModulusBits(2048),
            Attribute::PublicExponent(vec![1, 0, 1]),
            Attribute::Wrap(true),
            Attribute::Trusted(true),
        ]);
        let private = Template::from([
            Attribute::Token(false),
            Attribute::Private(true),
            Attribute::Unwrap(true),
        ]);
        let secret = Template::from([
            Attribute::Token(false),
            Attribute::ValueLen(32),
            Attribute::Wrap(true),
            Attribute::Trusted(true),
        ]);
        let pair = Mechanism::Plain(MechanismType::RSA_KEY_PAIR_GEN);
        let aes = Mechanism::Plain(MechanismType::AES_KEY_GEN);
        let made = [
            self.session
                .generate_pair(&pair, &trusted, &private)
                .map(drop),
            self.session.generate(&aes, &secret).map(drop),
        ];
        let mut answers = Vec::new();
        for outcome in made {
            match outcome {
                Ok(()) => {
                    return Err(Missing::Wrong(
                        "its user can make a trusted key: an exportable key could leave under it",
                    ));
                }
                Err(error) if error.kind() == Kind::Lost => return Err(error.into()),
                Err(error) => answers.push(error.to_string()),
            }
        }
        answers.dedup();
        Ok(format!(
            "a trusted key of the user's own: {}",
            answers.join(", ")
        ))
    }
}

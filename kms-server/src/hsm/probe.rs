//! The conformance probe: what this token really does.
//!
//! Nothing is assumed of a module, and what it lists is not believed: each mechanism that we rely
//! on is tried, at every start, on session objects that end with the probe. Where a published
//! answer exists it is compared. What is missing disables what needs it, with a clear error; there
//! is no fallback.

mod signing;
mod trusting;

use kms_core::class::Algorithm;
use kms_core::key::Wrapping;
use kms_pkcs11::{
    Attribute, AttributeName, Error, Handle, KeyType, Kind, Mechanism, MechanismType, Module,
    OaepHash, ObjectClass, Reading, Session, Slot, Template,
};

use super::published::{HMAC_KEY, HMAC_MESSAGE, HMAC_TAG, RFC_3394, RFC_5649, Vector};
use super::{Capability, Finding, Report, fingerprint};

/// What the probe learnt: the report, and how this token spells RFC 5649.
#[derive(Debug, Clone)]
pub(super) struct Probed {
    pub(super) report: Report,
    pub(super) kwp: Mechanism<'static>,
}

impl Probed {
    /// Before any probe: nothing is known to be there.
    pub(super) fn nothing() -> Self {
        Self {
            report: Report::default(),
            kwp: Mechanism::AesKeyWrapKwp,
        }
    }
}

/// Whether a capability was found; if not, why not.
type Found = Result<String, Missing>;

/// Tries everything.
///
/// # Errors
/// Only where the token or the session is lost in the middle of it: a mechanism that is missing
/// is a finding, not an error.
pub(super) fn probe(module: &Module, slot: Slot, session: &Session) -> Result<Probed, Error> {
    let token = module.token(slot)?;
    let bench = Bench {
        session,
        module,
        slot,
    };
    let (kwp, kwp_found) = bench.aes_kwp();
    // One pair for all that need one: making it is what takes the time.
    let pair = bench.pair();
    let tried = [
        (Capability::AesGcm, bench.aes_gcm()),
        (Capability::HmacSha256, bench.hmac()),
        (Capability::OaepSha256, bench.oaep(&pair, OaepHash::Sha256)),
        (Capability::OaepSha1, bench.oaep(&pair, OaepHash::Sha1)),
        (Capability::EcdsaP256, bench.ecdsa()),
        (
            Capability::AesKw,
            bench.unwraps_published_key(Mechanism::AesKeyWrap, &RFC_3394),
        ),
        (Capability::AesKwp, kwp_found),
        (
            Capability::RsaAesKeyWrap,
            bench.lists(MechanismType::RSA_AES_KEY_WRAP),
        ),
        (Capability::AllowedMechanisms, bench.allowed_mechanisms()),
        (Capability::UnwrapTemplate, bench.unwrap_template(&pair)),
        (Capability::Recognition, bench.recognition()),
        (Capability::SessionCopy, bench.session_copy()),
        (Capability::TrustedKeys, bench.trusted_keys()),
    ];
    let mut findings = Vec::new();
    for (capability, found) in tried {
        let (present, detail) = match found {
            Ok(detail) => (true, detail),
            Err(Missing::Token(error)) if error.kind() == Kind::Lost => return Err(error),
            Err(Missing::Token(error)) => (false, error.to_string()),
            Err(Missing::Wrong(detail)) => (false, detail.to_owned()),
        };
        findings.push(Finding {
            capability,
            present,
            detail,
        });
    }
    let report = Report {
        manufacturer: token.manufacturer,
        model: token.model,
        label: token.label,
        serial: token.serial,
        firmware: token.firmware,
        findings,
    };
    Ok(Probed { report, kwp })
}

/// What a wrapping mechanism needs of the token, where it is done in one call or in two.
pub(super) fn needed(wrapping: Wrapping, two_steps: bool) -> &'static [Capability] {
    match (wrapping, two_steps) {
        (Wrapping::OaepSha256, _) => &[Capability::OaepSha256],
        (Wrapping::OaepSha1, _) => &[Capability::OaepSha1],
        (Wrapping::RsaAesSha256 | Wrapping::RsaAesSha1, false) => &[Capability::RsaAesKeyWrap],
        (Wrapping::RsaAesSha256, true) => &[Capability::OaepSha256, Capability::AesKwp],
        (Wrapping::RsaAesSha1, true) => &[Capability::OaepSha1, Capability::AesKwp],
        (Wrapping::AesKw, _) => &[Capability::AesKw],
        (Wrapping::AesKwp, _) => &[Capability::AesKwp],
    }
}

/// Why a capability is not there.
enum Missing {
    /// The token refused the attempt.
    Token(Error),
    /// The token did it, wrongly.
    Wrong(&'static str),
}

impl From<Error> for Missing {
    fn from(error: Error) -> Self {
        Self::Token(error)
    }
}

struct Bench<'a> {
    session: &'a Session,
    module: &'a Module,
    slot: Slot,
}

impl Bench<'_> {
    fn aes_gcm(&self) -> Found {
        let key = self.gcm_key([])?;
        let sealed = Mechanism::AesGcm {
            iv: &IV,
            aad: b"this",
        };
        let ciphertext = self.session.encrypt(&sealed, key, PLAINTEXT)?;
        if *self.session.decrypt(&sealed, key, &ciphertext)? != PLAINTEXT {
            return Err(Missing::Wrong(
                "what it encrypted does not decrypt to the same",
            ));
        }
        let elsewhere = Mechanism::AesGcm {
            iv: &IV,
            aad: b"that",
        };
        let mut tampered = ciphertext.clone();
        if let Some(byte) = tampered.first_mut() {
            *byte ^= 1;
        }
        let answers = [
            self.session.decrypt(&elsewhere, key, &ciphertext),
            self.session.decrypt(&sealed, key, &tampered),
        ];
        let mut codes = Vec::new();
        for answer in answers {
            match answer {
                Ok(_) => return Err(Missing::Wrong("it opens a tampered ciphertext")),
                Err(error) => codes.push(error.code().unwrap_or_default()),
            }
        }
        codes.dedup();
        Ok(format!(
            "opens what it sealed; a tampered ciphertext gives {}",
            codes.join(", ")
        ))
    }

    fn hmac(&self) -> Found {
        let key = self.session.create(&published_key(
            KeyType::GenericSecret,
            &HMAC_KEY,
            Attribute::Sign(true),
        ))?;
        self.gives_published_tag(key)?;
        Ok("gives the answer of RFC 4231".to_owned())
    }

    fn gives_published_tag(&self, key: Handle) -> Result<(), Missing> {
        let tag = self
            .session
            .sign(&Mechanism::Sha256Hmac, key, HMAC_MESSAGE)?;
        if **tag == HMAC_TAG {
            Ok(())
        } else {
            Err(Missing::Wrong("the HMAC is not RFC 4231's"))
        }
    }

    fn oaep(&self, pair: &Result<Pair, Error>, hash: OaepHash) -> Found {
        let pair = pair.as_ref().map_err(Error::clone)?;
        // The token encrypts for itself: it is compared with itself here, and with another
        // implementation's OAEP by the product's tests.
        let oaep = Mechanism::RsaOaep(hash);
        let blob = self.session.encrypt(&oaep, pair.public, &HMAC_KEY)?;
        let template = hmac_template(false);
        let unwrapped = self.session.unwrap(&oaep, pair.private, &blob, &template)?;
        self.gives_published_tag(unwrapped)?;
        Ok("unwraps a key that then gives the answer of RFC 4231".to_owned())
    }

    fn unwraps_published_key(&self, mechanism: Mechanism<'_>, vector: &Vector) -> Found {
        let kek = published_key(KeyType::Aes, vector.kek, Attribute::Unwrap(true));
        let kek = self.session.create(&kek)?;
        let readable = Template::from([
            Attribute::Class(ObjectClass::SecretKey),
            Attribute::KeyType(KeyType::GenericSecret),
            Attribute::Token(false),
            Attribute::Private(true),
            Attribute::Sensitive(false),
            Attribute::Extractable(true),
        ]);
        let key = self
            .session
            .unwrap(&mechanism, kek, vector.wrapped, &readable)?;
        match self.session.read(key, AttributeName::Value)? {
            Reading::Value(Attribute::Value(value)) if value == vector.key => Ok(format!(
                "{}: unwraps the key of {}",
                mechanism.mechanism_type(),
                vector.source
            )),
            Reading::Value(_) | Reading::Sensitive | Reading::Absent => Err(Missing::Wrong(
                "the key that it unwraps is not the published one",
            )),
        }
    }

    /// RFC 5649 by its own number, or by the older one that SoftHSM unwraps correctly.
    fn aes_kwp(&self) -> (Mechanism<'static>, Found) {
        let standard = self.unwraps_published_key(Mechanism::AesKeyWrapKwp, &RFC_5649);
        match standard {
            Ok(detail) => (Mechanism::AesKeyWrapKwp, Ok(detail)),
            Err(_) => (
                Mechanism::AesKeyWrapPad,
                self.unwraps_published_key(Mechanism::AesKeyWrapPad, &RFC_5649),
            ),
        }
    }

    fn lists(&self, mechanism: MechanismType) -> Found {
        if self.module.mechanisms(self.slot)?.contains(&mechanism) {
            Ok("listed".to_owned())
        } else {
            Err(Missing::Wrong("not listed"))
        }
    }

    fn allowed_mechanisms(&self) -> Found {
        let key = self.gcm_key([])?;
        self.refuses_other_mechanisms(key)
    }

    fn refuses_other_mechanisms(&self, key: Handle) -> Found {
        let ecb = Mechanism::Plain(MechanismType::AES_ECB);
        match self.session.encrypt(&ecb, key, &[0; 16]) {
            Ok(_) => Err(Missing::Wrong("a key bound to GCM encrypts in ECB mode")),
            Err(error) if error.kind() == Kind::Lost => Err(error.into()),
            Err(error) => Ok(format!("ECB with a key bound to GCM: {error}")),
        }
    }

    fn unwrap_template(&self, pair: &Result<Pair, Error>) -> Found {
        let pair = pair.as_ref().map_err(Error::clone)?;
        if let Some(error) = &pair.no_template {
            return Err(error.clone().into());
        }
        // By whichever OAEP this token has, and only once the blob is known to unwrap: then a
        // refusal means the template.
        for hash in [OaepHash::Sha256, OaepHash::Sha1] {
            let oaep = Mechanism::RsaOaep(hash);
            let Ok(blob) = self.session.encrypt(&oaep, pair.public, &HMAC_KEY) else {
                continue;
            };
            let unwrap = |template| self.session.unwrap(&oaep, pair.private, &blob, &template);
            if unwrap(hmac_template(false)).is_err() {
                continue;
            }
            return match unwrap(hmac_template(true)) {
                Ok(_) => Err(Missing::Wrong(
                    "it unwraps as readable what must be sensitive",
                )),
                Err(error) if error.kind() == Kind::Lost => Err(error.into()),
                Err(error) => Ok(format!("unwrapping as readable: {error}")),
            };
        }
        Err(Missing::Wrong("no OAEP to try it with"))
    }

    /// The same key twice, once as each importable class has it.
    fn recognition(&self) -> Found {
        let value = PUBLISHED_KEY;
        let key = |right| published_key(KeyType::Aes, &value, right);
        let sealing = self.session.create(&key(Attribute::Encrypt(true)))?;
        let wrapping = self.session.create(&key(Attribute::Wrap(true)))?;
        let recognise = |algorithm, key| fingerprint::recognise(self.session, algorithm, key);
        let one = recognise(Algorithm::Aes256, sealing)?;
        let other = recognise(Algorithm::Aes256Kw, wrapping)?;
        if one == other && one.len() == 16 {
            Ok("the same AES key is recognised under GCM and under key wrap".to_owned())
        } else {
            Err(Missing::Wrong(
                "GCM and key wrap with padding do not give the same block for the same key",
            ))
        }
    }

    fn session_copy(&self) -> Found {
        let key = self.gcm_key([Attribute::Copyable(true), Attribute::Modifiable(true)])?;
        let copy = self
            .session
            .copy(key, &Template::from([Attribute::Token(false)]))?;
        for name in [
            AttributeName::Sensitive,
            AttributeName::Extractable,
            AttributeName::AllowedMechanisms,
        ] {
            if self.session.read(copy, name)? != self.session.read(key, name)? {
                return Err(Missing::Wrong(
                    "a copy does not keep what protects the original",
                ));
            }
        }
        let readable = Template::from([Attribute::Token(false), Attribute::Extractable(true)]);
        if self.session.copy(key, &readable).is_ok() {
            return Err(Missing::Wrong("a copy can be made extractable"));
        }
        self.refuses_other_mechanisms(copy)?;
        Ok("a copy of a copyable key keeps its attributes; our keys are not copyable".to_owned())
    }

    fn gcm_key(&self, extra: impl IntoIterator<Item = Attribute>) -> Result<Handle, Error> {
        let mut template = Template::from([
            Attribute::Class(ObjectClass::SecretKey),
            Attribute::KeyType(KeyType::Aes),
            Attribute::ValueLen(32),
            Attribute::Token(false),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Encrypt(true),
            Attribute::Decrypt(true),
            Attribute::AllowedMechanisms(vec![MechanismType::AES_GCM]),
        ]);
        template.extend(extra);
        self.session
            .generate(&Mechanism::Plain(MechanismType::AES_KEY_GEN), &template)
    }

    /// A pair that forces what it unwraps to be sensitive, or, on a token that knows no such
    /// template, one that does not.
    fn pair(&self) -> Result<Pair, Error> {
        let public = Template::from([
            Attribute::Token(false),
            Attribute::Private(false),
            // Small and quick: it lives for milliseconds and protects a published key.
            Attribute::ModulusBits(2048),
            Attribute::PublicExponent(vec![1, 0, 1]),
            Attribute::Encrypt(true),
        ]);
        let private = Template::from([
            Attribute::Token(false),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Unwrap(true),
            Attribute::AllowedMechanisms(vec![MechanismType::RSA_OAEP]),
        ]);
        let generate = Mechanism::Plain(MechanismType::RSA_KEY_PAIR_GEN);
        let forced = Template::from([Attribute::Sensitive(true), Attribute::Extractable(false)]);
        let forcing = private.clone().with(Attribute::UnwrapTemplate(forced));
        match self.session.generate_pair(&generate, &public, &forcing) {
            Ok((public, private)) => Ok(Pair {
                public,
                private,
                no_template: None,
            }),
            Err(error) => self
                .session
                .generate_pair(&generate, &public, &private)
                .map(|(public, private)| Pair {
                    public,
                    private,
                    no_template: Some(error),
                }),
        }
    }
}

/// The probe's own RSA keys.
struct Pair {
    public: Handle,
    private: Handle,
    /// Why it has no `CKA_UNWRAP_TEMPLATE`, if it has none.
    no_template: Option<Error>,
}

/// A published key as a session object.
fn published_key(key_type: KeyType, value: &[u8], right: Attribute) -> Template {
    Template::from([
        Attribute::Class(ObjectClass::SecretKey),
        Attribute::KeyType(key_type),
        Attribute::Token(false),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Value(value.to_vec()),
        right,
    ])
}

/// For the HMAC key, unwrapped: as it should be, or as nobody should be able to have it.
fn hmac_template(readable: bool) -> Template {
    Template::from([
        Attribute::Class(ObjectClass::SecretKey),
        Attribute::KeyType(KeyType::GenericSecret),
        Attribute::Token(false),
        Attribute::Private(true),
        Attribute::Sensitive(!readable),
        Attribute::Extractable(readable),
        Attribute::Sign(true),
    ])
}

/// Any AES-256 key that is no secret.
const PUBLISHED_KEY: [u8; 32] = *b"a published key of 32 bytes, AES";

const IV: [u8; 12] = *b"probe of GCM";
const PLAINTEXT: &[u8] = b"nothing that matters";

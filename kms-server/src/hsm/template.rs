//! From a class to the attributes of its objects: the only file that knows.
//!
//! What every key has: a token object, private, sensitive, never to be changed or copied
//! (`CKA_MODIFIABLE` and `CKA_COPYABLE` false, so that nobody who holds the PIN makes a second
//! object with more rights out of it), bound to the mechanisms of its class by
//! `CKA_ALLOWED_MECHANISMS`, and with every usage flag said, true or false: what is left out is
//! the token's choice, and SoftHSM's is often true.

use kms_core::class::{Algorithm, Class};
use kms_core::id::KeyId;
use kms_core::key::{Intake, KeySpec, Origin};
use kms_pkcs11::{Attribute, KeyType, Mechanism, MechanismType, ObjectClass, P256, Template};

/// The length of every symmetric key, in bytes: AES-256, and HMAC-SHA-256 secrets of the hash's
/// own length (NIST SP 800-107 section 5.3.4).
pub const SECRET_BYTES: u64 = 32;

/// The mechanisms that a class's key may be used with (`CKA_ALLOWED_MECHANISMS`), and no other. A
/// wrapping key's are those of what it takes in.
#[must_use]
pub fn mechanisms(class: Class, intake: Option<&Intake>) -> &'static [MechanismType] {
    match class {
        Class::DataAtRest => &[MechanismType::AES_GCM],
        Class::ImportWrapping => match intake {
            Some(intake) if intake.mechanism.is_hybrid() && !intake.two_steps => {
                &[MechanismType::RSA_AES_KEY_WRAP]
            }
            Some(_) | None => &[MechanismType::RSA_OAEP],
        },
        Class::Pseudonymisation | Class::ServiceImportToken | Class::ServiceDigest => {
            &[MechanismType::SHA256_HMAC]
        }
        Class::ServiceAttestation | Class::ServiceImportParameters => &[MechanismType::ECDSA],
        // RFC 5649 goes by two numbers, and a token has one of them at most (see `probe`).
        Class::ServiceExchange => &[
            MechanismType::AES_KEY_WRAP,
            MechanismType::AES_KEY_WRAP_PAD,
            MechanismType::AES_KEY_WRAP_KWP,
        ],
    }
}

/// Their names, sorted, as [`super::TokenObject`] shows those of an object.
#[must_use]
pub fn mechanism_names(class: Class, intake: Option<&Intake>) -> Vec<String> {
    let listed = mechanisms(class, intake).iter();
    let mut names: Vec<_> = listed.map(ToString::to_string).collect();
    names.sort();
    names
}

/// How a key is made: one object, or two that share an id.
pub(super) enum Making {
    /// `C_GenerateKey`.
    Secret(Mechanism<'static>, Template),
    /// `C_GenerateKeyPair`.
    Pair {
        mechanism: Mechanism<'static>,
        public: Template,
        private: Template,
    },
}

/// How the token makes a key of this specification.
pub(super) fn generate(spec: &KeySpec) -> Making {
    let mechanism = Mechanism::Plain(generator(spec.class.algorithm()));
    match spec.class.algorithm() {
        Algorithm::Aes256 | Algorithm::Aes256Kw | Algorithm::HmacSha256 => {
            let length = Attribute::ValueLen(SECRET_BYTES);
            Making::Secret(mechanism, protected(spec).with(length))
        }
        Algorithm::Rsa3072 | Algorithm::EcdsaP256 => Making::Pair {
            mechanism,
            public: public(spec),
            private: protected(spec),
        },
    }
}

/// The template of a key that is unwrapped: as generated, but for its length, which PKCS#11 (v2.40
/// section 2.8.3) does not let the caller say. It repeats every attribute of the unwrapping
/// key's `CKA_UNWRAP_TEMPLATE`, or the token refuses.
pub(super) fn unwrap(spec: &KeySpec) -> Template {
    protected(spec)
}

/// The same as a session object, which ends with the session at the latest.
pub(super) fn rehearsal(spec: &KeySpec) -> Template {
    let all = protected(spec);
    let all = all.attributes().iter().cloned();
    all.map(|attribute| {
        if matches!(attribute, Attribute::Token(_)) {
            Attribute::Token(false)
        } else {
            attribute
        }
    })
    .collect()
}

/// The object that does a class's work: the private one of a pair.
pub(super) fn object_class(algorithm: Algorithm) -> ObjectClass {
    match algorithm {
        Algorithm::Aes256 | Algorithm::Aes256Kw | Algorithm::HmacSha256 => ObjectClass::SecretKey,
        Algorithm::Rsa3072 | Algorithm::EcdsaP256 => ObjectClass::PrivateKey,
    }
}

/// What finds every object of an id on the token; session objects are left out.
pub(super) fn by_id(id: &KeyId) -> Template {
    Template::from([
        Attribute::Token(true),
        Attribute::Id(id.to_bytes().to_vec()),
    ])
}

/// What the token must say of a key, once made: what was asked, and what only the token can tell.
/// Without an origin, what depends on it is left open.
pub(super) fn demands(spec: &KeySpec, origin: Option<Origin>) -> Template {
    let mut demands = protected(spec);
    match spec.class.algorithm() {
        Algorithm::Aes256 | Algorithm::Aes256Kw | Algorithm::HmacSha256 => {
            demands.extend([Attribute::ValueLen(SECRET_BYTES)]);
        }
        Algorithm::Rsa3072 => demands.extend([Attribute::PublicExponent(F4.to_vec())]),
        Algorithm::EcdsaP256 => demands.extend([Attribute::EcParams(P256.to_vec())]),
    }
    match origin {
        Some(Origin::Generated) => demands.extend([
            Attribute::Local(true),
            Attribute::AlwaysSensitive(true),
            Attribute::NeverExtractable(!spec.exportable),
            Attribute::KeyGenMechanism(generator(spec.class.algorithm())),
        ]),
        // It has been outside, and says so for ever.
        Some(Origin::External) => demands.extend([
            Attribute::Local(false),
            Attribute::AlwaysSensitive(false),
            Attribute::NeverExtractable(false),
        ]),
        None => {}
    }
    demands
}

/// The public exponent 65537 (FIPS 186-5 appendix A.1.1).
const F4: [u8; 3] = [1, 0, 1];

fn generator(algorithm: Algorithm) -> MechanismType {
    match algorithm {
        Algorithm::Aes256 | Algorithm::Aes256Kw => MechanismType::AES_KEY_GEN,
        Algorithm::HmacSha256 => MechanismType::GENERIC_SECRET_KEY_GEN,
        Algorithm::Rsa3072 => MechanismType::RSA_KEY_PAIR_GEN,
        Algorithm::EcdsaP256 => MechanismType::EC_KEY_PAIR_GEN,
    }
}

/// A secret or private key: where and what it is, then what it may.
fn protected(spec: &KeySpec) -> Template {
    let mut template = named(spec);
    template.extend([
        Attribute::Class(object_class(spec.class.algorithm())),
        Attribute::Token(true),
    ]);
    let intake = spec.intake.as_ref();
    template.extend(rights((spec.class, intake), spec.exportable));
    if let Some(forced) = unwrap_template(spec.class, intake) {
        template.extend([Attribute::UnwrapTemplate(forced)]);
    }
    template.with(FIXED)
}

/// The public half of a pair: only to be read. Whoever wraps for us, or verifies what we signed,
/// does it outside the token.
fn public(spec: &KeySpec) -> Template {
    let algorithm = spec.class.algorithm();
    let mut template = named(spec);
    template.extend([
        Attribute::Class(ObjectClass::PublicKey),
        Attribute::KeyType(key_type(algorithm)),
        Attribute::Token(true),
        Attribute::Private(false),
        Attribute::Copyable(false),
    ]);
    match algorithm {
        Algorithm::Rsa3072 => template.extend([
            Attribute::ModulusBits(3072),
            Attribute::PublicExponent(F4.to_vec()),
        ]),
        Algorithm::EcdsaP256 => template.extend([Attribute::EcParams(P256.to_vec())]),
        // One object, no public half.
        Algorithm::Aes256 | Algorithm::Aes256Kw | Algorithm::HmacSha256 => {}
    }
    template.extend([
        Attribute::Encrypt(false),
        Attribute::Verify(false),
        Attribute::VerifyRecover(false),
        Attribute::Wrap(false),
        Attribute::Derive(false),
        FIXED,
    ]);
    template
}

fn key_type(algorithm: Algorithm) -> KeyType {
    match algorithm {
        Algorithm::Aes256 | Algorithm::Aes256Kw => KeyType::Aes,
        Algorithm::HmacSha256 => KeyType::GenericSecret,
        Algorithm::Rsa3072 => KeyType::Rsa,
        Algorithm::EcdsaP256 => KeyType::Ec,
    }
}

fn named(spec: &KeySpec) -> Template {
    Template::from([
        Attribute::Id(spec.id.to_bytes().to_vec()),
        Attribute::Label(spec.label.to_string().into_bytes()),
    ])
}

/// What a key may and what may become of it. Also what an unwrapping key forces on what it
/// unwraps, so that nobody who holds the PIN unwraps a partner's blob as something readable.
fn rights((class, intake): (Class, Option<&Intake>), exportable: bool) -> Vec<Attribute> {
    let algorithm = class.algorithm();
    let mut rights = vec![
        Attribute::KeyType(key_type(algorithm)),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(exportable),
        Attribute::Copyable(false),
        Attribute::AllowedMechanisms(mechanisms(class, intake).to_vec()),
        Attribute::Decrypt(algorithm == Algorithm::Aes256),
        Attribute::Sign(matches!(
            algorithm,
            Algorithm::HmacSha256 | Algorithm::EcdsaP256
        )),
        Attribute::Unwrap(matches!(
            algorithm,
            Algorithm::Aes256Kw | Algorithm::Rsa3072
        )),
        Attribute::Derive(false),
    ];
    match object_class(algorithm) {
        ObjectClass::PrivateKey => rights.push(Attribute::SignRecover(false)),
        ObjectClass::SecretKey | ObjectClass::PublicKey | ObjectClass::Other(_) => {
            rights.extend([
                Attribute::Encrypt(algorithm == Algorithm::Aes256),
                // MACs are compared by us, in constant time.
                Attribute::Verify(false),
                Attribute::Wrap(algorithm == Algorithm::Aes256Kw),
            ]);
        }
    }
    if exportable {
        // It leaves only under a key that the security officer has marked as trusted.
        rights.push(Attribute::WrapWithTrusted(true));
    }
    rights
}

/// Last in every template: SoftHSM takes attributes in their order, and none after this one when it
/// unwraps.
const FIXED: Attribute = Attribute::Modifiable(false);

/// What a wrapping key forces on whatever it unwraps: the rights of the one class that it takes in;
/// in two steps, those of the ephemeral key, beyond which nothing is forced.
fn unwrap_template(class: Class, intake: Option<&Intake>) -> Option<Template> {
    let forced = match (class, intake) {
        (Class::ImportWrapping, Some(intake)) if intake.two_steps => {
            return Some(ephemeral_rights());
        }
        (Class::ImportWrapping | Class::ServiceExchange, Some(intake)) => intake.class,
        (Class::ImportWrapping, None) => Class::DataAtRest,
        (
            Class::ServiceExchange
            | Class::DataAtRest
            | Class::Pseudonymisation
            | Class::ServiceImportToken
            | Class::ServiceDigest
            | Class::ServiceAttestation
            | Class::ServiceImportParameters,
            _,
        ) => return None,
    };
    let forced: Template = rights((forced, None), false).into_iter().collect();
    Some(forced.with(FIXED))
}

/// The ephemeral key of a hybrid wrapping that is done in two steps: a session object, which dies
/// with the process, that unwraps by RFC 5649 and does nothing else.
pub(super) fn ephemeral() -> Template {
    let mut template = Template::from([
        Attribute::Class(ObjectClass::SecretKey),
        Attribute::Token(false),
    ]);
    template.extend(ephemeral_rights().attributes().iter().cloned());
    template
}

fn ephemeral_rights() -> Template {
    Template::from([
        Attribute::KeyType(KeyType::Aes),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Copyable(false),
        Attribute::AllowedMechanisms(vec![
            MechanismType::AES_KEY_WRAP_PAD,
            MechanismType::AES_KEY_WRAP_KWP,
        ]),
        Attribute::Decrypt(false),
        Attribute::Sign(false),
        Attribute::Unwrap(true),
        Attribute::Derive(false),
        Attribute::Encrypt(false),
        Attribute::Verify(false),
        Attribute::Wrap(false),
        FIXED,
    ])
}

//! What a key of the service must not lend itself to, tried with the PIN in hand.

use cryptoki::{
    error::Error,
    mechanism::{
        Mechanism, MechanismType,
        ekdf::AesCbcDeriveParams,
        rsa::{PkcsMgfType, PkcsOaepParams, PkcsOaepSource},
    },
    object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle},
    session::Session,
};
use serde::{Deserialize, Serialize};

use super::curve;
use crate::Failure;

/// One abuse, and how the token answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// What was tried, for instance `decrypt by AES-ECB`.
    pub what: String,
    /// The label of the key of the service that it was tried on.
    pub victim: String,
    /// What the token said; `None` when it did what it should have refused.
    pub refusal: Option<String>,
    /// What the token said to the same on a key without restrictions; `None` when it did
    /// it, as it must.
    pub control: Option<String>,
}

/// A key that abuse is tried on: of the service, or loose, and its public half if any.
#[derive(Clone, Copy)]
struct Target {
    key: ObjectHandle,
    public: Option<ObjectHandle>,
}

/// What is tried: `Ok` when the token did it.
struct Abuse {
    what: &'static str,
    act: fn(&Session, Target) -> Result<(), String>,
}

const EVERY_KEY: [Abuse; 4] = [
    Abuse {
        what: "make a copy",
        act: |s, t| copy(s, t, &[]),
    },
    Abuse {
        what: "make a copy that may be extracted",
        act: |s, t| {
            copy(
                s,
                t,
                &[Attribute::Extractable(true), Attribute::Sensitive(false)],
            )
        },
    },
    Abuse {
        what: "change its label",
        act: relabel,
    },
    Abuse {
        what: "take it out under a key of one's own",
        act: wrap_out,
    },
];

const AES: [Abuse; 7] = [
    Abuse {
        what: "read its value",
        act: |s, t| show(s, t, AttributeType::Value),
    },
    Abuse {
        what: "decrypt by AES-ECB",
        act: |s, t| decrypt(s, t, &Mechanism::AesEcb),
    },
    Abuse {
        what: "encrypt by AES-ECB",
        act: |s, t| encrypt(s, t, &Mechanism::AesEcb),
    },
    Abuse {
        what: "encrypt by AES-CBC",
        act: |s, t| encrypt(s, t, &Mechanism::AesCbc([7; 16])),
    },
    Abuse {
        what: "wrap another key under it",
        act: wrap_other,
    },
    Abuse {
        what: "derive another key from it",
        act: derive,
    },
    Abuse {
        what: "make a copy that wraps",
        act: |s, t| copy(s, t, &[Attribute::Wrap(true)]),
    },
];

const HMAC: [Abuse; 4] = [
    Abuse {
        what: "read its value",
        act: |s, t| show(s, t, AttributeType::Value),
    },
    Abuse {
        what: "evaluate by HMAC-SHA-1",
        act: |s, t| sign(s, t, &Mechanism::Sha1Hmac),
    },
    Abuse {
        what: "evaluate by HMAC-SHA-224",
        act: |s, t| sign(s, t, &Mechanism::Sha224Hmac),
    },
    Abuse {
        what: "make a copy that derives",
        act: |s, t| copy(s, t, &[Attribute::Derive(true)]),
    },
];

const RSA: [Abuse; 5] = [
    Abuse {
        what: "read its exponent",
        act: |s, t| show(s, t, AttributeType::PrivateExponent),
    },
    Abuse {
        what: "open a partner's blob by OAEP",
        act: |s, t| open(s, t, &oaep()),
    },
    Abuse {
        what: "open a partner's blob by raw RSA",
        act: |s, t| open(s, t, &Mechanism::RsaX509),
    },
    Abuse {
        what: "sign by RSA PKCS #1",
        act: |s, t| sign(s, t, &Mechanism::RsaPkcs),
    },
    Abuse {
        what: "unwrap a partner's key as readable",
        act: unwrap_readable,
    },
];

const CURVE: [Abuse; 2] = [
    Abuse {
        what: "read its scalar",
        act: |s, t| show(s, t, AttributeType::Value),
    },
    Abuse {
        what: "agree on a secret with it",
        act: |s, t| curve::agree(s, t.key),
    },
];

/// Every abuse of every algorithm, on the first key of the service that has it.
pub(super) fn all(session: &Session) -> Result<Vec<Attempt>, Failure> {
    let mut attempts = Vec::new();
    for (sort, secret, abuses) in [
        (KeyType::AES, true, &AES[..]),
        (KeyType::GENERIC_SECRET, true, &HMAC[..]),
        (KeyType::RSA, false, &RSA[..]),
        (KeyType::EC, false, &CURVE[..]),
    ] {
        let (victim, label) = find(session, sort, secret)?;
        let loose = loose(session, sort).map_err(failed)?;
        for abuse in abuses.iter().chain(&EVERY_KEY) {
            attempts.push(Attempt {
                what: abuse.what.to_owned(),
                victim: label.clone(),
                refusal: (abuse.act)(session, victim).err(),
                control: (abuse.act)(session, loose).err(),
            });
        }
    }
    Ok(attempts)
}

fn find(session: &Session, sort: KeyType, secret: bool) -> Result<(Target, String), Failure> {
    let class = if secret {
        ObjectClass::SECRET_KEY
    } else {
        ObjectClass::PRIVATE_KEY
    };
    let those = [
        Attribute::Token(true),
        Attribute::Class(class),
        Attribute::KeyType(sort),
        Attribute::Local(true),
    ];
    let keys = session.find_objects(&those).map_err(failed)?;
    let key = *keys
        .first()
        .ok_or_else(|| Failure::new(format!("the token has no key of type {sort}")))?;
    let shown = session
        .get_attributes(key, &[AttributeType::Id, AttributeType::Label])
        .map_err(failed)?;
    let (mut id, mut label) = (Vec::new(), String::new());
    for attribute in shown {
        if let Attribute::Id(bytes) = attribute {
            id = bytes;
        } else if let Attribute::Label(bytes) = attribute {
            label = String::from_utf8_lossy(&bytes).into_owned();
        }
    }
    let public = if sort == KeyType::RSA {
        Some(public_half(session, id).map_err(failed)?)
    } else {
        None
    };
    Ok((Target { key, public }, label))
}

/// A public key that may encrypt, of the modulus that the pair's own public object shows.
fn public_half(session: &Session, id: Vec<u8>) -> Result<ObjectHandle, Error> {
    let those = [Attribute::Class(ObjectClass::PUBLIC_KEY), Attribute::Id(id)];
    let found = session.find_objects(&those)?;
    let shown = [AttributeType::Modulus, AttributeType::PublicExponent];
    let mut template = match found.first() {
        Some(public) => session.get_attributes(*public, &shown)?,
        None => Vec::new(),
    };
    template.extend([
        Attribute::Class(ObjectClass::PUBLIC_KEY),
        Attribute::KeyType(KeyType::RSA),
        Attribute::Token(false),
        Attribute::Encrypt(true),
        Attribute::Wrap(true),
    ]);
    session.create_object(&template)
}

/// A session key of one's own, without any restriction.
fn loose(session: &Session, sort: KeyType) -> Result<Target, Error> {
    if sort == KeyType::RSA {
        let public = [
            Attribute::ModulusBits(2048.into()),
            Attribute::PublicExponent(vec![1, 0, 1]),
            Attribute::Encrypt(true),
            Attribute::Wrap(true),
        ];
        let private = [
            Attribute::Sensitive(false),
            Attribute::Extractable(true),
            Attribute::Decrypt(true),
            Attribute::Sign(true),
            Attribute::Unwrap(true),
        ];
        let (public, key) =
            session.generate_key_pair(&Mechanism::RsaPkcsKeyPairGen, &public, &private)?;
        return Ok(Target {
            key,
            public: Some(public),
        });
    }
    if sort == KeyType::EC {
        let key = curve::pair(session)?.1;
        return Ok(Target { key, public: None });
    }
    let mechanism = if sort == KeyType::AES {
        Mechanism::AesKeyGen
    } else {
        Mechanism::GenericSecretKeyGen
    };
    let mut template = vec![
        Attribute::ValueLen(32.into()),
        Attribute::Sensitive(false),
        Attribute::Extractable(true),
    ];
    template.extend([
        Attribute::Sign(true),
        Attribute::Verify(true),
        Attribute::Derive(true),
    ]);
    if sort == KeyType::AES {
        template.extend([Attribute::Encrypt(true), Attribute::Decrypt(true)]);
        template.extend([Attribute::Wrap(true), Attribute::Unwrap(true)]);
    }
    let key = session.generate_key(&mechanism, &template)?;
    Ok(Target { key, public: None })
}

fn show(session: &Session, target: Target, attribute: AttributeType) -> Result<(), String> {
    let shown = session
        .get_attributes(target.key, &[attribute])
        .map_err(said)?;
    if shown.is_empty() {
        Err("the token does not show it".to_owned())
    } else {
        Ok(())
    }
}

fn copy(session: &Session, target: Target, more: &[Attribute]) -> Result<(), String> {
    let template = [&[Attribute::Token(false)], more].concat();
    session.copy_object(target.key, &template).map_err(said)?;
    Ok(())
}

fn relabel(session: &Session, target: Target) -> Result<(), String> {
    session
        .update_attributes(target.key, &[Attribute::Label(b"mine".to_vec())])
        .map_err(said)
}

fn wrap_out(session: &Session, target: Target) -> Result<(), String> {
    let own = loose(session, KeyType::AES).map_err(said)?;
    // AES key wrap takes multiples of 8 bytes, which a private key is not: that one leaves
    // with padding.
    let ways = [Mechanism::AesKeyWrap, Mechanism::AesKeyWrapPad];
    let left = ways.map(|way| session.wrap_key(&way, own.key, target.key).map_err(said));
    match left {
        [Err(refusal), Err(_)] => Err(refusal),
        [Ok(_), _] | [_, Ok(_)] => Ok(()),
    }
}

fn wrap_other(session: &Session, target: Target) -> Result<(), String> {
    let other = loose(session, KeyType::AES).map_err(said)?;
    session
        .wrap_key(&Mechanism::AesKeyWrap, target.key, other.key)
        .map_err(said)?;
    Ok(())
}

fn derive(session: &Session, target: Target) -> Result<(), String> {
    let mechanism = Mechanism::AesCbcEncryptData(AesCbcDeriveParams::new([7; 16], &[9; 32]));
    let template = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::GENERIC_SECRET),
        Attribute::ValueLen(32.into()),
        Attribute::Token(false),
        Attribute::Sensitive(false),
        Attribute::Extractable(true),
    ];
    session
        .derive_key(&mechanism, target.key, &template)
        .map_err(said)?;
    Ok(())
}

fn encrypt(session: &Session, target: Target, mechanism: &Mechanism<'_>) -> Result<(), String> {
    session
        .encrypt(mechanism, target.key, &[5; 32])
        .map_err(said)?;
    Ok(())
}

fn decrypt(session: &Session, target: Target, mechanism: &Mechanism<'_>) -> Result<(), String> {
    session
        .decrypt(mechanism, target.key, &[5; 32])
        .map_err(said)?;
    Ok(())
}

fn sign(session: &Session, target: Target, mechanism: &Mechanism<'_>) -> Result<(), String> {
    session
        .sign(mechanism, target.key, b"anything")
        .map_err(said)?;
    Ok(())
}

/// What a partner wrapped with the public key, opened as if it were a message.
fn open(session: &Session, target: Target, mechanism: &Mechanism<'_>) -> Result<(), String> {
    let public = target.public.ok_or("no public key")?;
    let blob = session.encrypt(mechanism, public, &[5; 32]).map_err(said)?;
    session
        .decrypt(mechanism, target.key, &blob)
        .map_err(said)?;
    Ok(())
}

fn unwrap_readable(session: &Session, target: Target) -> Result<(), String> {
    let public = target.public.ok_or("no public key")?;
    let partners = loose(session, KeyType::AES).map_err(said)?;
    let blob = session
        .wrap_key(&oaep(), public, partners.key)
        .map_err(said)?;
    let template = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::Token(false),
        Attribute::Sensitive(false),
        Attribute::Extractable(true),
        Attribute::Encrypt(true),
    ];
    let key = session
        .unwrap_key(&oaep(), target.key, &blob, &template)
        .map_err(said)?;
    show(session, Target { key, public: None }, AttributeType::Value)
}

/// With SHA-1, because SoftHSM has no other.
fn oaep() -> Mechanism<'static> {
    let source = PkcsOaepSource::empty();
    let parameters = PkcsOaepParams::new(MechanismType::SHA1, PkcsMgfType::MGF1_SHA1, source);
    Mechanism::RsaPkcsOaep(parameters)
}

pub(super) fn said(error: Error) -> String {
    if let Error::Pkcs11(code, _) = error {
        format!("{code:?}")
    } else {
        error.to_string()
    }
}

fn failed(error: Error) -> Failure {
    Failure::because("the token failed", error)
}

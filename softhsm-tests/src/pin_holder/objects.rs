//! The token's objects as any PKCS#11 program reads them.

use cryptoki::{
    object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle},
    session::Session,
};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use crate::Failure;

/// A key object: what the token says of it. A flag that the token does not show is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// `CKA_LABEL`.
    pub label: String,
    /// `CKA_ID`, hexadecimal.
    pub id: String,
    /// `CKA_CLASS`: `secret`, `private` or `public`.
    pub class: String,
    /// `CKA_KEY_TYPE`, by its PKCS#11 name.
    pub key_type: String,
    /// `CKA_VALUE_LEN`, in bytes, for secret keys.
    pub length: Option<u64>,
    /// `CKA_PRIVATE`.
    pub private: Option<bool>,
    /// `CKA_SENSITIVE`.
    pub sensitive: Option<bool>,
    /// `CKA_ALWAYS_SENSITIVE`.
    pub always_sensitive: Option<bool>,
    /// `CKA_EXTRACTABLE`.
    pub extractable: Option<bool>,
    /// `CKA_NEVER_EXTRACTABLE`.
    pub never_extractable: Option<bool>,
    /// `CKA_LOCAL`.
    pub local: Option<bool>,
    /// `CKA_KEY_GEN_MECHANISM`, by its PKCS#11 name: how the token made it.
    pub made_by: Option<String>,
    /// `CKA_MODIFIABLE`.
    pub modifiable: Option<bool>,
    /// `CKA_COPYABLE`.
    pub copyable: Option<bool>,
    /// What its usage flags allow, of `encrypt`, `decrypt`, `sign`, `verify`, `wrap`,
    /// `unwrap`, `derive`.
    pub uses: Vec<String>,
    /// `CKA_ALLOWED_MECHANISMS`, by their PKCS#11 names, sorted; empty means any.
    pub mechanisms: Vec<String>,
}

const ATTRIBUTES: [AttributeType; 21] = [
    AttributeType::Label,
    AttributeType::Id,
    AttributeType::Class,
    AttributeType::KeyType,
    AttributeType::ValueLen,
    AttributeType::Private,
    AttributeType::Sensitive,
    AttributeType::AlwaysSensitive,
    AttributeType::Extractable,
    AttributeType::NeverExtractable,
    AttributeType::Local,
    AttributeType::Modifiable,
    AttributeType::Copyable,
    AttributeType::Encrypt,
    AttributeType::Decrypt,
    AttributeType::Sign,
    AttributeType::Verify,
    AttributeType::Wrap,
    AttributeType::Unwrap,
    AttributeType::Derive,
    AttributeType::AllowedMechanisms,
];

const KEYS: [ObjectClass; 3] = [
    ObjectClass::SECRET_KEY,
    ObjectClass::PRIVATE_KEY,
    ObjectClass::PUBLIC_KEY,
];

/// Every key object on the token, sorted by label.
pub(super) fn all(session: &Session) -> Result<Vec<Object>, Failure> {
    let failed = |cause| Failure::because("cannot read the token's objects", cause);
    let mut objects = Vec::new();
    for class in KEYS {
        let those = [Attribute::Token(true), Attribute::Class(class)];
        for handle in session.find_objects(&those).map_err(failed)? {
            objects.push(read(session, handle).map_err(failed)?);
        }
    }
    objects.sort_by(|one, other| (&one.label, &one.class).cmp(&(&other.label, &other.class)));
    Ok(objects)
}

fn read(session: &Session, handle: ObjectHandle) -> Result<Object, cryptoki::error::Error> {
    let mut object = Object::default();
    for attribute in session.get_attributes(handle, &ATTRIBUTES)? {
        object.take(attribute);
    }
    // What came from outside has none, and the library has no word for that.
    if object.local == Some(true) && object.class != "public" {
        let made_by = [AttributeType::KeyGenMechanism];
        for attribute in session.get_attributes(handle, &made_by)? {
            object.take(attribute);
        }
    }
    Ok(object)
}

impl Object {
    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "a foreign enum of a hundred attributes, of which those above are asked for"
    )]
    fn take(&mut self, attribute: Attribute) {
        match attribute {
            Attribute::Label(text) => self.label = String::from_utf8_lossy(&text).into_owned(),
            Attribute::Id(id) => self.id = HEXLOWER.encode(&id),
            Attribute::Class(class) => self.class = class_name(class).to_owned(),
            Attribute::KeyType(sort) => self.key_type = key_type_name(sort),
            Attribute::ValueLen(bytes) => self.length = Some(u64::from(bytes)),
            Attribute::Private(yes) => self.private = Some(yes),
            Attribute::Sensitive(yes) => self.sensitive = Some(yes),
            Attribute::AlwaysSensitive(yes) => self.always_sensitive = Some(yes),
            Attribute::Extractable(yes) => self.extractable = Some(yes),
            Attribute::NeverExtractable(yes) => self.never_extractable = Some(yes),
            Attribute::Local(yes) => self.local = Some(yes),
            Attribute::KeyGenMechanism(by) => self.made_by = Some(by.to_string()),
            Attribute::Modifiable(yes) => self.modifiable = Some(yes),
            Attribute::Copyable(yes) => self.copyable = Some(yes),
            Attribute::Encrypt(yes) => self.may("encrypt", yes),
            Attribute::Decrypt(yes) => self.may("decrypt", yes),
            Attribute::Sign(yes) => self.may("sign", yes),
            Attribute::Verify(yes) => self.may("verify", yes),
            Attribute::Wrap(yes) => self.may("wrap", yes),
            Attribute::Unwrap(yes) => self.may("unwrap", yes),
            Attribute::Derive(yes) => self.may("derive", yes),
            Attribute::AllowedMechanisms(list) => {
                self.mechanisms = list.iter().map(ToString::to_string).collect();
                self.mechanisms.sort();
            }
            _ => {}
        }
    }

    fn may(&mut self, what: &str, yes: bool) {
        if yes {
            self.uses.push(what.to_owned());
        }
    }
}

fn class_name(class: ObjectClass) -> &'static str {
    match class {
        ObjectClass::SECRET_KEY => "secret",
        ObjectClass::PRIVATE_KEY => "private",
        ObjectClass::PUBLIC_KEY => "public",
        _ => "other",
    }
}

fn key_type_name(sort: KeyType) -> String {
    match sort {
        KeyType::AES => "AES".to_owned(),
        KeyType::GENERIC_SECRET => "GENERIC_SECRET".to_owned(),
        KeyType::RSA => "RSA".to_owned(),
        other => other.to_string(),
    }
}

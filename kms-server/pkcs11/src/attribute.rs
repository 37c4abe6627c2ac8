//! Attributes of objects, and templates made of them (PKCS#11 v2.40 section 4).

use std::fmt;

use cryptoki_sys as sys;

use crate::mechanism::MechanismType;

/// The attributes of an object to make, to find or to copy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Template(Vec<Attribute>);

impl Template {
    /// This template and one attribute more.
    #[must_use]
    pub fn with(mut self, attribute: Attribute) -> Self {
        self.0.push(attribute);
        self
    }

    /// The attributes, in the order in which they were added.
    pub fn attributes(&self) -> &[Attribute] {
        &self.0
    }
}

impl<const N: usize> From<[Attribute; N]> for Template {
    fn from(attributes: [Attribute; N]) -> Self {
        Self(attributes.into())
    }
}

impl FromIterator<Attribute> for Template {
    fn from_iter<I: IntoIterator<Item = Attribute>>(attributes: I) -> Self {
        Self(attributes.into_iter().collect())
    }
}

impl Extend<Attribute> for Template {
    fn extend<I: IntoIterator<Item = Attribute>>(&mut self, attributes: I) {
        self.0.extend(attributes);
    }
}

/// What the token says of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// Its value.
    Value(Attribute),
    /// The token has it and does not show it (`CKR_ATTRIBUTE_SENSITIVE`).
    Sensitive,
    /// The object has no such attribute, or the token does not know it.
    Absent,
}

/// `CK_OBJECT_CLASS`, where we make or expect one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ObjectClass {
    /// `CKO_SECRET_KEY`.
    SecretKey,
    /// `CKO_PUBLIC_KEY`.
    PublicKey,
    /// `CKO_PRIVATE_KEY`.
    PrivateKey,
    /// Any other class, by its number.
    Other(u64),
}

/// `CK_KEY_TYPE`, where we make or expect one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyType {
    /// `CKK_AES`.
    Aes,
    /// `CKK_GENERIC_SECRET`.
    GenericSecret,
    /// `CKK_RSA`.
    Rsa,
    /// `CKK_EC`.
    Ec,
    /// Any other type, by its number.
    Other(u64),
}

/// One line for each attribute: its name, the shape of its value, its number.
macro_rules! attributes {
    ($($name:ident($shape:ty) = $code:ident),+ $(,)?) => {
        /// An attribute with its value.
        #[derive(Clone, PartialEq, Eq)]
        pub enum Attribute {
            $(#[doc = concat!("`", stringify!($code), "`.")] $name($shape),)+
        }

        /// The name of an attribute.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum AttributeName {
            $(#[doc = concat!("`", stringify!($code), "`.")] $name,)+
        }

        impl Attribute {
            /// The attribute's name.
            pub fn name(&self) -> AttributeName {
                match self {
                    $(Self::$name(_) => AttributeName::$name,)+
                }
            }

            pub(crate) fn encode(&self) -> Encoded<'_> {
                match self {
                    $(Self::$name(value) => value.encode(),)+
                }
            }
        }

        impl AttributeName {
            pub(crate) fn code(self) -> u64 {
                match self {
                    $(Self::$name => sys::$code,)+
                }
            }

            /// The name of an attribute's number, where we have one.
            pub(crate) fn of(code: u64) -> Option<Self> {
                match code {
                    $(sys::$code => Some(Self::$name),)+
                    _ => None,
                }
            }

            /// The value in the bytes that a token gave; `None` where they do not
            /// have the shape that the standard demands. (A template does not come as
            /// bytes: `raw` reads it.)
            pub(crate) fn decode(self, bytes: &[u8]) -> Option<Attribute> {
                match self {
                    $(Self::$name => <$shape>::decode(bytes).map(Attribute::$name),)+
                }
            }
        }

        impl fmt::Display for AttributeName {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Self::$name => stringify!($code),)+
                })
            }
        }
    };
}

attributes! {
    Class(ObjectClass) = CKA_CLASS,
    KeyType(KeyType) = CKA_KEY_TYPE,
    Id(Vec<u8>) = CKA_ID,
    Label(Vec<u8>) = CKA_LABEL,
    Token(bool) = CKA_TOKEN,
    Private(bool) = CKA_PRIVATE,
    Sensitive(bool) = CKA_SENSITIVE,
    AlwaysSensitive(bool) = CKA_ALWAYS_SENSITIVE,
    Extractable(bool) = CKA_EXTRACTABLE,
    NeverExtractable(bool) = CKA_NEVER_EXTRACTABLE,
    Local(bool) = CKA_LOCAL,
    KeyGenMechanism(MechanismType) = CKA_KEY_GEN_MECHANISM,
    Modifiable(bool) = CKA_MODIFIABLE,
    Copyable(bool) = CKA_COPYABLE,
    Destroyable(bool) = CKA_DESTROYABLE,
    WrapWithTrusted(bool) = CKA_WRAP_WITH_TRUSTED,
    Trusted(bool) = CKA_TRUSTED,
    Encrypt(bool) = CKA_ENCRYPT,
    Decrypt(bool) = CKA_DECRYPT,
    Sign(bool) = CKA_SIGN,
    SignRecover(bool) = CKA_SIGN_RECOVER,
    Verify(bool) = CKA_VERIFY,
    VerifyRecover(bool) = CKA_VERIFY_RECOVER,
    Wrap(bool) = CKA_WRAP,
    Unwrap(bool) = CKA_UNWRAP,
    Derive(bool) = CKA_DERIVE,
    AllowedMechanisms(Vec<MechanismType>) = CKA_ALLOWED_MECHANISMS,
    UnwrapTemplate(Template) = CKA_UNWRAP_TEMPLATE,
    ValueLen(u64) = CKA_VALUE_LEN,
    Value(Vec<u8>) = CKA_VALUE,
    ModulusBits(u64) = CKA_MODULUS_BITS,
    Modulus(Vec<u8>) = CKA_MODULUS,
    PublicExponent(Vec<u8>) = CKA_PUBLIC_EXPONENT,
    EcParams(Vec<u8>) = CKA_EC_PARAMS,
    EcPoint(Vec<u8>) = CKA_EC_POINT,
}

// By hand: a value that a token wrongly shows must not reach a log.
impl fmt::Debug for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name();
        match (self, self.encode()) {
            (Self::Value(_), _) => write!(f, "{name}=(hidden)"),
            (_, Encoded::Flag(flag)) => write!(f, "{name}={flag}"),
            (Self::Label(label), _) => write!(f, "{name}={:?}", String::from_utf8_lossy(label)),
            (_, Encoded::Bytes(bytes)) => {
                write!(f, "{name}=")?;
                bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
            (Self::AllowedMechanisms(mechanisms), _) => write!(f, "{name}={mechanisms:?}"),
            (Self::KeyGenMechanism(mechanism), _) => write!(f, "{name}={mechanism}"),
            (_, Encoded::Numbers(numbers)) => write!(f, "{name}={numbers:?}"),
            (_, Encoded::Template(template)) => write!(f, "{name}={:?}", template.0),
        }
    }
}

/// An attribute's value in the form in which PKCS#11 wants it.
pub(crate) enum Encoded<'a> {
    Flag(bool),
    Numbers(Vec<u64>),
    Bytes(&'a [u8]),
    Template(&'a Template),
}

trait Shape: Sized {
    fn encode(&self) -> Encoded<'_>;
    fn decode(bytes: &[u8]) -> Option<Self>;
}

impl Shape for bool {
    fn encode(&self) -> Encoded<'_> {
        Encoded::Flag(*self)
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let [byte] = bytes else { return None };
        Some(*byte != 0)
    }
}

impl Shape for u64 {
    fn encode(&self) -> Encoded<'_> {
        Encoded::Numbers(vec![*self])
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(u64::from_ne_bytes)
    }
}

impl Shape for Vec<u8> {
    fn encode(&self) -> Encoded<'_> {
        Encoded::Bytes(self)
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        Some(bytes.to_vec())
    }
}

impl Shape for MechanismType {
    fn encode(&self) -> Encoded<'_> {
        Encoded::Numbers(vec![self.0])
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        u64::decode(bytes).map(Self)
    }
}

impl Shape for Vec<MechanismType> {
    fn encode(&self) -> Encoded<'_> {
        Encoded::Numbers(self.iter().map(|mechanism| mechanism.0).collect())
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        bytes
            .chunks(size_of::<u64>())
            .map(MechanismType::decode)
            .collect()
    }
}

impl Shape for ObjectClass {
    fn encode(&self) -> Encoded<'_> {
        Encoded::Numbers(vec![match *self {
            Self::SecretKey => sys::CKO_SECRET_KEY,
            Self::PublicKey => sys::CKO_PUBLIC_KEY,
            Self::PrivateKey => sys::CKO_PRIVATE_KEY,
            Self::Other(class) => class,
        }])
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        Some(match u64::decode(bytes)? {
            sys::CKO_SECRET_KEY => Self::SecretKey,
            sys::CKO_PUBLIC_KEY => Self::PublicKey,
            sys::CKO_PRIVATE_KEY => Self::PrivateKey,
            other => Self::Other(other),
        })
    }
}

impl Shape for KeyType {
    fn encode(&self) -> Encoded<'_> {
        Encoded::Numbers(vec![match *self {
            Self::Aes => sys::CKK_AES,
            Self::GenericSecret => sys::CKK_GENERIC_SECRET,
            Self::Rsa => sys::CKK_RSA,
            Self::Ec => sys::CKK_EC,
            Self::Other(key_type) => key_type,
        }])
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        Some(match u64::decode(bytes)? {
            sys::CKK_AES => Self::Aes,
            sys::CKK_GENERIC_SECRET => Self::GenericSecret,
            sys::CKK_RSA => Self::Rsa,
            sys::CKK_EC => Self::Ec,
            other => Self::Other(other),
        })
    }
}

impl Shape for Template {
    fn encode(&self) -> Encoded<'_> {
        Encoded::Template(self)
    }

    fn decode(_: &[u8]) -> Option<Self> {
        None
    }
}

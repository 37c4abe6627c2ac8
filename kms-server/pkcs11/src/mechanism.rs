//! Mechanisms: their types, as keys are bound to them, and operations with their
//! parameters.

use std::fmt;

use cryptoki_sys as sys;

/// A `CK_MECHANISM_TYPE`. Any value can be held, so that what a token lists or a
/// key allows is shown even where we have no name for it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MechanismType(pub u64);

macro_rules! mechanism_types {
    ($($name:ident = $code:ident),+ $(,)?) => {
        impl MechanismType {
            $(
                #[doc = concat!("`", stringify!($code), "`.")]
                pub const $name: Self = Self(sys::$code);
            )+

            /// The standard's name (`CKM_...`) of the types that we know.
            pub fn name(self) -> Option<&'static str> {
                match self {
                    $(Self::$name => Some(stringify!($code)),)+
                    Self(_) => None,
                }
            }
        }
    };
}

mechanism_types! {
    RSA_KEY_PAIR_GEN = CKM_RSA_PKCS_KEY_PAIR_GEN,
    RSA_PKCS = CKM_RSA_PKCS,
    RSA_X_509 = CKM_RSA_X_509,
    RSA_OAEP = CKM_RSA_PKCS_OAEP,
    RSA_AES_KEY_WRAP = CKM_RSA_AES_KEY_WRAP,
    EC_KEY_PAIR_GEN = CKM_EC_KEY_PAIR_GEN,
    ECDSA = CKM_ECDSA,
    SHA_1 = CKM_SHA_1,
    SHA256 = CKM_SHA256,
    SHA256_HMAC = CKM_SHA256_HMAC,
    GENERIC_SECRET_KEY_GEN = CKM_GENERIC_SECRET_KEY_GEN,
    AES_KEY_GEN = CKM_AES_KEY_GEN,
    AES_ECB = CKM_AES_ECB,
    AES_CBC = CKM_AES_CBC,
    AES_CTR = CKM_AES_CTR,
    AES_GCM = CKM_AES_GCM,
    AES_KEY_WRAP = CKM_AES_KEY_WRAP,
    AES_KEY_WRAP_PAD = CKM_AES_KEY_WRAP_PAD,
    AES_KEY_WRAP_KWP = CKM_AES_KEY_WRAP_KWP,
}

impl fmt::Display for MechanismType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "CKM_{:#010x}", self.0),
        }
    }
}

impl fmt::Debug for MechanismType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The hash of RSAES-OAEP, the same for the label and for MGF1 (RFC 8017 section
/// 7.1). The label is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OaepHash {
    /// SHA-1: the only one that SoftHSM 2.6.1 has.
    Sha1,
    /// SHA-256.
    Sha256,
}

/// An operation with its parameters.
#[derive(Clone, Copy)]
pub enum Mechanism<'a> {
    /// `CKM_AES_GCM`, NIST SP 800-38D, with a 96-bit IV and a 128-bit tag at the end
    /// of the ciphertext. Tokens that insist on making the IV themselves (FIPS
    /// modules, by PKCS#11 v3.0's `C_EncryptMessage` or by writing into `pIv`) will
    /// need a variant of their own whose IV comes back with the ciphertext.
    AesGcm {
        /// The 96-bit initialisation vector: never twice with one key.
        iv: &'a [u8; 12],
        /// Additional authenticated data.
        aad: &'a [u8],
    },
    /// `CKM_SHA256_HMAC`: a 32-byte tag (RFC 2104, FIPS 198-1).
    Sha256Hmac,
    /// `CKM_ECDSA` over a digest that the caller computed (FIPS 186-5 section 6.4): r and s,
    /// each as long as the order of the curve; see [`Session::sign_ecdsa`](crate::Session).
    Ecdsa,
    /// `CKM_RSA_PKCS_OAEP` with an empty label.
    RsaOaep(OaepHash),
    /// `CKM_RSA_AES_KEY_WRAP` with an ephemeral AES-256 key: RSA-OAEP of that key,
    /// then RFC 5649 of the target (PKCS#11 v3.0 section 6.1.8).
    RsaAesKeyWrap(OaepHash),
    /// `CKM_AES_KEY_WRAP`: RFC 3394, NIST SP 800-38F KW; multiples of 8 bytes.
    AesKeyWrap,
    /// `CKM_AES_KEY_WRAP_PAD`: meant as RFC 5649, but tokens disagree on it.
    AesKeyWrapPad,
    /// `CKM_AES_KEY_WRAP_KWP`: RFC 5649, NIST SP 800-38F KWP (PKCS#11 v3.0).
    AesKeyWrapKwp,
    /// Any mechanism that takes no parameter, e.g. to generate a key.
    Plain(MechanismType),
}

impl Mechanism<'_> {
    /// The mechanism's type.
    pub fn mechanism_type(&self) -> MechanismType {
        match self {
            Self::AesGcm { .. } => MechanismType::AES_GCM,
            Self::Sha256Hmac => MechanismType::SHA256_HMAC,
            Self::Ecdsa => MechanismType::ECDSA,
            Self::RsaOaep(_) => MechanismType::RSA_OAEP,
            Self::RsaAesKeyWrap(_) => MechanismType::RSA_AES_KEY_WRAP,
            Self::AesKeyWrap => MechanismType::AES_KEY_WRAP,
            Self::AesKeyWrapPad => MechanismType::AES_KEY_WRAP_PAD,
            Self::AesKeyWrapKwp => MechanismType::AES_KEY_WRAP_KWP,
            Self::Plain(plain) => *plain,
        }
    }
}

// By hand: associated data are the caller's and stay out of every log.
impl fmt::Debug for Mechanism<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.mechanism_type(), f)
    }
}

//! What we need of an HSM, and the PKCS#11 token that gives it.
//!
//! [`Pool`] is the implementation: `pool` the threads and their queue, `keeper` the line to the
//! token, `desk` one session with its handles; what is done at a desk is in `make` (keys come and
//! go), `work` (keys are used) and `stock` (everything that is there). `template` turns a class
//! into attributes, `fingerprint` recognises a key, `probe` finds out what the token can do.

mod desk;
mod fault;
mod fingerprint;
mod keeper;
mod make;
pub mod pin;
mod pool;
mod probe;
mod published;
mod settings;
mod stock;
pub mod template;
mod trusted;
mod work;

pub use pool::Pool;
pub use settings::Settings;
pub use trusted::{Trust, set_trust};

use crate::health::Health;
use async_trait::async_trait;
use kms_core::class::Algorithm;
use kms_core::destination::WrappingKey;
use kms_core::error::Result;
use kms_core::id::KeyId;
use kms_core::key::{KeySpec, Learned, Wrapping};
use kms_core::permit::Permit;
use serde::Serialize;
use std::fmt;
use tokio::sync::watch;
use zeroize::Zeroizing;

/// An HSM: few operations on a [`KeyId`]. Whatever reaches a key takes the permit for it.
///
/// Errors are the caller's advice: `Unavailable` when nothing was done, `Unknown` when a call was
/// sent and its answer never came, `Exhausted` when too much waits already.
#[async_trait]
pub trait Hsm: Send + Sync + fmt::Debug {
    /// Generates a key (or a key pair) inside the token. Idempotent by id: what an interrupted
    /// call left complete is taken as made, what it left half made is made again.
    async fn generate(&self, permit: &Permit, spec: &KeySpec) -> Result<Learned>;

    /// What the token tells of this key, or `None` when it is not there.
    async fn find(&self, permit: &Permit, spec: &KeySpec) -> Result<Option<Learned>>;

    /// Unwraps outside material inside the token, as a new key. The material never leaves it. What
    /// an earlier import left under this id, never recorded as made, is replaced.
    async fn unwrap(&self, permit: &Permit, wrapped: &Wrapped, spec: &KeySpec) -> Result<Learned>;

    /// Whether [`Hsm::unwrap`] would succeed: unwraps as a session object, looks whether it is a key,
    /// and destroys it. Nothing is left of it.
    async fn rehearse(&self, permit: &Permit, wrapped: &Wrapped, spec: &KeySpec) -> Result<()>;

    /// Destroys the key's objects, and says so only once the token finds none of them any more.
    /// Nothing to destroy is not an error.
    async fn destroy(&self, permit: &Permit, id: &KeyId) -> Result<()>;

    /// Carries out each operation, in order, in one visit to the token; each has its own result.
    async fn apply(&self, permit: &Permit, work: Vec<Work>) -> Result<Vec<Result<Output>>>;

    /// Bytes of the token's generator.
    async fn random(&self, permit: &Permit, length: usize) -> Result<Zeroizing<Vec<u8>>>;

    /// Every key object of the token, for `doctor`.
    async fn objects(&self) -> Result<Vec<TokenObject>>;

    /// Whether the token answers; a watcher hears of every change.
    fn health(&self) -> watch::Receiver<Health>;

    /// What the conformance probe found.
    fn report(&self) -> Report;
}

/// One operation with one key.
#[derive(Debug)]
pub struct Work {
    /// The key.
    pub id: KeyId,
    /// What it should be, recorded when it was made; compared when its handle is found.
    pub fingerprint: String,
    /// The operation.
    pub op: Op,
}

/// An operation: a new mechanism is a variant, not a method.
pub enum Op {
    /// AES-GCM (NIST SP 800-38D): 96-bit nonce, 128-bit tag. Gives ciphertext and tag.
    GcmEncrypt {
        /// Never all zero (the fingerprint's), never twice.
        nonce: [u8; 12],
        /// Associated data.
        aad: Vec<u8>,
        /// What to protect.
        plaintext: Zeroizing<Vec<u8>>,
    },
    /// The way back. A ciphertext that does not authenticate is `Invalid`.
    GcmDecrypt {
        /// As it was.
        nonce: [u8; 12],
        /// As it was.
        aad: Vec<u8>,
        /// Ciphertext and tag.
        ciphertext: Vec<u8>,
    },
    /// HMAC-SHA-256 (FIPS 198-1). Gives 32 bytes.
    Hmac {
        /// What to authenticate or evaluate.
        input: Zeroizing<Vec<u8>>,
    },
    /// What the same material gives under whichever id and importable class. Gives 16 bytes, which
    /// are as secret as a key check value: they never leave the service.
    Recognise {
        /// What the key is.
        algorithm: Algorithm,
    },
    /// ECDSA on P-256 with SHA-256 (FIPS 186-5). Gives an ECDSA-Sig-Value (RFC 3279 section 2.2.3),
    /// DER.
    Sign {
        /// What to sign, of any length: it is hashed here, and only the digest goes to the token.
        message: Vec<u8>,
    },
    /// RSAES-OAEP (RFC 8017 section 7.1) of the key itself, which must be extractable, under a
    /// public key that the security officer has put into the token as a trusted one. Gives the
    /// wrapped key.
    Wrap {
        /// The trusted key: what it must be, modulus and exponent.
        under: WrappingKey,
        /// With SHA-256, or SHA-1.
        mechanism: Wrapping,
    },
}

impl fmt::Debug for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Op::GcmEncrypt { .. } => "GcmEncrypt",
            Op::GcmDecrypt { .. } => "GcmDecrypt",
            Op::Hmac { .. } => "Hmac",
            Op::Recognise { .. } => "Recognise",
            Op::Sign { .. } => "Sign",
            Op::Wrap { .. } => "Wrap",
        })
    }
}

/// The bytes that an operation gives.
pub type Output = Zeroizing<Vec<u8>>;

/// Material on its way in.
#[derive(Debug, Clone)]
pub struct Wrapped {
    /// The key that unwraps.
    pub by: KeyId,
    /// Its recorded fingerprint.
    pub fingerprint: String,
    /// How it is wrapped.
    pub mechanism: Wrapping,
    /// Of a hybrid mechanism: whether the token is asked in two calls.
    pub two_steps: bool,
    /// The wrapped material.
    pub blob: Vec<u8>,
}

/// A key object as the token shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TokenObject {
    /// `CKA_ID`, if it has our form.
    pub id: Option<KeyId>,
    /// `CKA_ID` as it is, hexadecimal.
    pub raw_id: String,
    /// `CKA_LABEL`.
    pub label: String,
    /// `secret`, `private` or `public`.
    pub class: String,
    /// `CKA_SENSITIVE`.
    pub sensitive: bool,
    /// `CKA_EXTRACTABLE`.
    pub extractable: bool,
    /// `CKA_LOCAL`.
    pub local: bool,
    /// `CKA_ALLOWED_MECHANISMS`, by their PKCS#11 names, sorted.
    pub mechanisms: Vec<String>,
}

/// What the conformance probe found, and which token it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// `CK_TOKEN_INFO`.
    pub manufacturer: String,
    /// `CK_TOKEN_INFO`.
    pub model: String,
    /// `CK_TOKEN_INFO`.
    pub label: String,
    /// `CK_TOKEN_INFO`.
    pub serial: String,
    /// `CK_TOKEN_INFO`.
    pub firmware: String,
    /// Each capability that we rely on.
    pub findings: Vec<Finding>,
}

/// One capability, and what the probe saw of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which.
    pub capability: Capability,
    /// Whether it is there and does what it should.
    pub present: bool,
    /// What the probe saw.
    pub detail: String,
}

/// What we rely on, or make use of where it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Capability {
    /// AES-GCM with our nonce; a tampered ciphertext is refused.
    AesGcm,
    /// HMAC-SHA-256 gives the published answer.
    HmacSha256,
    /// RSAES-OAEP with SHA-256.
    OaepSha256,
    /// RSAES-OAEP with SHA-1.
    OaepSha1,
    /// ECDSA on P-256, with key pairs made in the token.
    EcdsaP256,
    /// AES key wrap (RFC 3394).
    AesKw,
    /// AES key wrap with padding (RFC 5649).
    AesKwp,
    /// `CKM_RSA_AES_KEY_WRAP`.
    RsaAesKeyWrap,
    /// A use outside `CKA_ALLOWED_MECHANISMS` is refused.
    AllowedMechanisms,
    /// `CKA_UNWRAP_TEMPLATE` is enforced.
    UnwrapTemplate,
    /// The same AES key is recognised, under GCM and under key wrap.
    Recognition,
    /// A session copy stays sensitive, not extractable, and bound to its mechanisms.
    SessionCopy,
    /// Whoever holds the user's PIN cannot make a key that is trusted.
    TrustedKeys,
}

impl Report {
    /// Whether material that is wrapped so can be unwrapped, in one call or in two.
    #[must_use]
    pub fn unwraps(&self, wrapping: Wrapping, two_steps: bool) -> bool {
        probe::needed(wrapping, two_steps)
            .iter()
            .all(|capability| self.has(*capability))
    }

    /// Whether the probe found this capability.
    #[must_use]
    pub fn has(&self, capability: Capability) -> bool {
        self.findings
            .iter()
            .any(|f| f.capability == capability && f.present)
    }
}

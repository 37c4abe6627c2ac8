//! PKCS#11 as the key management service needs it: small, typed, and without an
//! opinion on what the keys are for.
//!
//! [`Module`] is a loaded PKCS#11 library, [`Session`] a connection to one token,
//! [`Template`] the attributes of an object, [`Mechanism`] an operation with its
//! parameters, [`Error`] a failed call with what its caller can do about it.
//!
//! The crate `cryptoki` carries the life of modules and sessions. What it lacks, or
//! does with a second call for the length, is called directly: templates inside
//! templates (`CKA_UNWRAP_TEMPLATE`), `CKM_AES_KEY_WRAP_KWP`,
//! `CKM_RSA_AES_KEY_WRAP`, one-call encryption, decryption and wrapping. Those calls
//! are in the private module `raw`, the only place in the product with `unsafe`.
//!
//! The calls block, and a session belongs to one thread at a time: [`Session`] is
//! `Send`, not `Sync`.

mod attribute;
mod der;
mod error;
mod layout;
mod mechanism;
mod module;
mod public_key;
mod raw;
mod session;
mod signature;

pub use attribute::{Attribute, AttributeName, KeyType, ObjectClass, Reading, Template};
pub use error::{Error, Kind};
pub use mechanism::{Mechanism, MechanismType, OaepHash};
pub use module::{Module, Slot, Token};
pub use public_key::P256;
pub use raw::Handle;
pub use session::{Login, Session};

//! A session with a token: one thread at a time, and the handles that it gave.

use std::fmt;
use std::sync::Arc;

use cryptoki::error::RvError;
use cryptoki::session::{SessionState, UserType};
use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::attribute::{Attribute, AttributeName, KeyType, Reading, Template};
use crate::error::{Error, Kind};
use crate::mechanism::Mechanism;
use crate::module::Open;
use crate::public_key;
use crate::raw::{Functions, Handle, Operation};
use crate::signature::ecdsa_signature;

/// A read-write session, closed when dropped. Session objects that it made and did
/// not destroy end with it.
pub struct Session {
    session: cryptoki::session::Session,
    functions: Arc<Functions>,
    /// Counted by the module, which must not be finalised under an open session: last
    /// field, so dropped once the session is closed.
    _open: Open,
}

/// How a login came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Login {
    /// The token took the PIN.
    New,
    /// The process was logged in already: **the PIN was not looked at**.
    Already,
}

impl Session {
    pub(crate) fn new(
        session: cryptoki::session::Session,
        functions: Arc<Functions>,
        open: Open,
    ) -> Self {
        Self {
            session,
            functions,
            _open: open,
        }
    }

    /// `C_Login` as the token's user.
    ///
    /// # Errors
    /// [`Kind::WrongPin`] and [`Kind::PinLocked`]: never call again with the same PIN,
    /// each attempt counts towards locking the token.
    pub fn login(&self, pin: &SecretString) -> Result<Login, Error> {
        match self
            .session
            .login(UserType::User, Some(pin))
            .map_err(Error::from)
        {
            Ok(()) => Ok(Login::New),
            Err(error) if error.is(RvError::UserAlreadyLoggedIn) => Ok(Login::Already),
            Err(error) => Err(error),
        }
    }

    /// `C_Login` as the token's security officer, who marks keys as trusted and sets the user's
    /// PIN. The process must have no other session with the token (PKCS#11 v2.40 section 5.6).
    ///
    /// # Errors
    /// As [`Session::login`].
    pub fn login_officer(&self, pin: &SecretString) -> Result<(), Error> {
        Ok(self.session.login(UserType::So, Some(pin))?)
    }

    /// Whether the process is still logged in here, as the user (`C_GetSessionInfo`). On
    /// some tokens (SoftHSM) private objects simply seem not to exist when it is not.
    ///
    /// # Errors
    /// [`Kind::Lost`] where the session itself is gone.
    pub fn logged_in(&self) -> Result<bool, Error> {
        Ok(match self.session.get_session_info()?.session_state() {
            SessionState::RoUser | SessionState::RwUser => true,
            SessionState::RoPublic | SessionState::RwPublic | SessionState::RwSecurityOfficer => {
                false
            }
        })
    }

    /// `C_Logout`: of every session of this process with this token.
    ///
    /// # Errors
    /// [`Kind::Lost`] where nobody is logged in.
    pub fn logout(&self) -> Result<(), Error> {
        Ok(self.session.logout()?)
    }

    /// The handles of all objects that have these attributes, at most `limit`. Linear
    /// in the number of objects on the token, session objects of the whole process
    /// included unless the template says [`Attribute::Token`].
    ///
    /// # Errors
    /// [`Kind::Lost`] as everywhere.
    pub fn find(&self, template: &Template, limit: usize) -> Result<Vec<Handle>, Error> {
        self.functions.find(self.session.handle(), template, limit)
    }

    /// One attribute of an object.
    ///
    /// # Errors
    /// [`Kind::Stale`] where the handle names nothing.
    pub fn read(&self, object: Handle, name: AttributeName) -> Result<Reading, Error> {
        self.functions.read(self.session.handle(), object, name)
    }

    /// `C_GenerateKey`: a secret key with these attributes.
    ///
    /// # Errors
    /// [`Kind::Refused`] where the token does not accept the template,
    /// [`Kind::Full`] where it has no room.
    pub fn generate(
        &self,
        mechanism: &Mechanism<'_>,
        template: &Template,
    ) -> Result<Handle, Error> {
        self.functions
            .generate(self.session.handle(), mechanism, template)
    }

    /// `C_GenerateKeyPair`: the public key, then the private one.
    ///
    /// # Errors
    /// As [`Session::generate`]. A token that fails between the two may leave one
    /// behind.
    pub fn generate_pair(
        &self,
        mechanism: &Mechanism<'_>,
        public: &Template,
        private: &Template,
    ) -> Result<(Handle, Handle), Error> {
        self.functions
            .generate_pair(self.session.handle(), mechanism, public, private)
    }

    /// `C_CreateObject`: an object with a value that the caller knows. For test values
    /// only: a real key is generated in the token or unwrapped by it.
    ///
    /// # Errors
    /// [`Kind::Refused`] where the token lets no key value in (FIPS modules).
    pub fn create(&self, template: &Template) -> Result<Handle, Error> {
        self.functions.create(self.session.handle(), template)
    }

    /// `C_CopyObject`: a copy that differs in these attributes.
    ///
    /// # Errors
    /// [`Kind::Refused`] where the object may not be copied, or not so.
    pub fn copy(&self, object: Handle, template: &Template) -> Result<Handle, Error> {
        self.functions.copy(self.session.handle(), object, template)
    }

    /// `C_DestroyObject`: for good, where it is a token object.
    ///
    /// # Errors
    /// [`Kind::Stale`] where it is not there, [`Kind::Refused`] where it may not be.
    pub fn destroy(&self, object: Handle) -> Result<(), Error> {
        self.functions.destroy(self.session.handle(), object)
    }

    /// Encrypts in one call.
    ///
    /// # Errors
    /// [`Kind::Refused`] or [`Kind::Unsupported`] where key and mechanism do not go
    /// together.
    pub fn encrypt(
        &self,
        mechanism: &Mechanism<'_>,
        key: Handle,
        plaintext: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let handle = self.session.handle();
        let mut ciphertext =
            self.functions
                .process(handle, Operation::Encrypt, mechanism, key, plaintext)?;
        Ok(std::mem::take(&mut *ciphertext))
    }

    /// Decrypts in one call. What comes back is wiped when dropped.
    ///
    /// # Errors
    /// [`Kind::InvalidInput`] for a bad ciphertext where the token says so;
    /// [`Kind::Ambiguous`] where it says `CKR_GENERAL_ERROR` (SoftHSM).
    pub fn decrypt(
        &self,
        mechanism: &Mechanism<'_>,
        key: Handle,
        ciphertext: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Error> {
        let handle = self.session.handle();
        self.functions
            .process(handle, Operation::Decrypt, mechanism, key, ciphertext)
    }

    /// Signs, or computes a MAC, in one call. Wiped when dropped: a MAC can be a secret.
    ///
    /// # Errors
    /// [`Kind::Refused`] or [`Kind::Unsupported`] where key and mechanism do not go
    /// together.
    pub fn sign(
        &self,
        mechanism: &Mechanism<'_>,
        key: Handle,
        message: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Error> {
        self.functions.process(
            self.session.handle(),
            Operation::Sign,
            mechanism,
            key,
            message,
        )
    }

    /// ECDSA over a digest (FIPS 186-5 section 6.4), as others read it: an ECDSA-Sig-Value (RFC 3279
    /// section 2.2.3), DER.
    ///
    /// # Errors
    /// As [`Session::sign`].
    pub fn sign_ecdsa(&self, key: Handle, digest: &[u8]) -> Result<Vec<u8>, Error> {
        let raw = self.sign(&Mechanism::Ecdsa, key, digest)?;
        ecdsa_signature(&raw).ok_or_else(|| Error::wrong("C_Sign", "the signature is not r and s"))
    }

    /// `C_WrapKey`: `key`, encrypted under `wrapping_key`, in one call.
    ///
    /// # Errors
    /// [`Kind::Refused`] where `key` is not extractable, or not under this key.
    pub fn wrap(
        &self,
        mechanism: &Mechanism<'_>,
        wrapping_key: Handle,
        key: Handle,
    ) -> Result<Vec<u8>, Error> {
        self.functions
            .wrap(self.session.handle(), mechanism, wrapping_key, key)
    }

    /// `C_UnwrapKey`: a new object from a wrapped key; the material stays in the token.
    /// Where the unwrapping key has a `CKA_UNWRAP_TEMPLATE`, `template` must repeat
    /// each attribute of it (PKCS#11 v2.40 section 4.10; SoftHSM insists).
    ///
    /// # Errors
    /// [`Kind::InvalidInput`] or [`Kind::Ambiguous`] for a blob that does not unwrap,
    /// [`Kind::Refused`] for a template that the unwrapping key does not allow.
    pub fn unwrap(
        &self,
        mechanism: &Mechanism<'_>,
        unwrapping_key: Handle,
        wrapped: &[u8],
        template: &Template,
    ) -> Result<Handle, Error> {
        self.functions.unwrap(
            self.session.handle(),
            mechanism,
            unwrapping_key,
            wrapped,
            template,
        )
    }

    /// A public key, RSA or P-256, as DER SubjectPublicKeyInfo (RFC 5280). An RSA private key's
    /// handle serves as well: it holds modulus and public exponent.
    ///
    /// # Errors
    /// [`Kind::Refused`] where the object is no such key.
    pub fn public_key(&self, key: Handle) -> Result<Vec<u8>, Error> {
        let found = match self.read(key, AttributeName::KeyType)? {
            Reading::Value(Attribute::KeyType(KeyType::Rsa)) => self.rsa(key)?,
            Reading::Value(Attribute::KeyType(KeyType::Ec)) => self.p256(key)?,
            Reading::Value(_) | Reading::Sensitive | Reading::Absent => None,
        };
        found.ok_or_else(|| {
            Error::sentence(
                "C_GetAttributeValue",
                Kind::Refused,
                "the object is not an RSA or P-256 key with a public part".to_owned(),
            )
        })
    }

    fn rsa(&self, key: Handle) -> Result<Option<Vec<u8>>, Error> {
        let modulus = self.read(key, AttributeName::Modulus)?;
        let exponent = self.read(key, AttributeName::PublicExponent)?;
        Ok(match (modulus, exponent) {
            (
                Reading::Value(Attribute::Modulus(modulus)),
                Reading::Value(Attribute::PublicExponent(exponent)),
            ) if !modulus.is_empty() && !exponent.is_empty() => {
                Some(public_key::rsa(&modulus, &exponent))
            }
            _ => None,
        })
    }

    fn p256(&self, key: Handle) -> Result<Option<Vec<u8>>, Error> {
        let curve = self.read(key, AttributeName::EcParams)?;
        let point = self.read(key, AttributeName::EcPoint)?;
        Ok(match (curve, point) {
            (
                Reading::Value(Attribute::EcParams(curve)),
                Reading::Value(Attribute::EcPoint(point)),
            ) if curve == public_key::P256 => public_key::p256(&point),
            _ => None,
        })
    }

    /// `C_GenerateRandom`: fills `bytes` from the token's generator. After an error
    /// they are unspecified, not random.
    ///
    /// # Errors
    /// [`Kind::Unsupported`] where the token has no generator.
    pub fn random(&self, bytes: &mut [u8]) -> Result<(), Error> {
        Ok(self.session.generate_random_slice(bytes)?)
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Session({})", self.session.handle())
    }
}

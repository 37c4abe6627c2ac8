//! Public keys of other HSMs, as trusted objects of our token: what an exportable key may leave
//! under, and nothing else.
//!
//! Only the security officer can make one (PKCS#11 v2.40 section 4.8.2), and the officer's session
//! excludes the user's in the same process: [`set_trust`] is for a process of its own.

use super::desk::Desk;
use super::fault::{Fault, Visit};
use super::keeper::start_lock;
use super::settings::Settings;
use super::template;
use kms_core::destination::{EXPONENT, WrappingKey};
use kms_core::error::{Error, Result};
use kms_core::key::Wrapping;
use kms_core::name::DestinationName;
use kms_pkcs11::{
    Attribute, Handle, KeyType, Mechanism, MechanismType, Module, OaepHash, ObjectClass, Reading,
    Session, Template,
};
use secrecy::SecretString;

/// What becomes of a destination's object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// It is there, and trusted.
    Given,
    /// It is not there.
    Withdrawn,
}

/// Puts a destination's public key into the token as a trusted one, or takes it out, in the
/// security officer's session. What is so already stays so. Nothing else of the process may use the
/// module.
///
/// # Errors
/// One sentence where the token, the PIN or the object is not as it should be.
pub fn set_trust(
    settings: &Settings,
    (name, key): (&DestinationName, &WrappingKey),
    trust: Trust,
    pin: &SecretString,
) -> Result<()> {
    let failed = |error: kms_pkcs11::Error| {
        Error::unavailable(format!(
            "the token `{}` did not do it ({error}); look at the token's own log",
            settings.token
        ))
    };
    let module = Module::load(&settings.module).map_err(failed)?;
    // A login of another process at the same time would fail on a soft token.
    let _start = start_lock(&settings.lock_file).map_err(Error::unavailable)?;
    module.initialize().map_err(failed)?;
    let slot = module.slot(&settings.token).map_err(failed)?;
    let session = module.open_session(slot).map_err(failed)?;
    session.login_officer(pin).map_err(|error| {
        Error::refused(format!(
            "the token `{}` does not take the security officer's PIN ({error}); it is not tried \
             again, which could lock the token",
            settings.token
        ))
    })?;
    let ours = template::by_id(&key.id());
    let found = session.find(&ours, MOST).map_err(failed)?;
    match trust {
        Trust::Withdrawn => found
            .into_iter()
            .try_for_each(|object| session.destroy(object))
            .map_err(failed),
        Trust::Given => {
            if found.is_empty() {
                session.create(&object(name, key)).map_err(|error| {
                    Error::unavailable(format!(
                        "this token does not let its security officer mark a key as trusted \
                         ({error}): nothing can be exported from it"
                    ))
                })?;
            }
            let found = session.find(&ours, MOST).map_err(failed)?;
            let what = match found.as_slice() {
                [object] => wrong(&session, *object, key).map_err(failed)?,
                _ => Some("there is more than one".to_owned()),
            };
            match what {
                None => Ok(()),
                Some(what) => Err(Error::conflict(format!(
                    "the token's object for this public key is not as it should be: {what}; take it \
                     out (--withdraw)"
                ))),
            }
        }
    }
}

/// More objects than there can be for one public key.
const MOST: usize = 8;

impl Desk {
    /// The trusted object for exactly this public key.
    pub(super) fn trusted(&self, key: &WrappingKey) -> Visit<Handle> {
        let object = self
            .find_one(&key.id(), ObjectClass::PublicKey)?
            .ok_or_else(|| {
                Error::state(
                    "the destination's public key is not trusted in the token yet: the security \
                     officer puts it there (kms-server trust)",
                )
            })?;
        match wrong(&self.session, object, key).map_err(|error| Fault::reading(&error))? {
            None => Ok(object),
            Some(what) => Err(Error::state(format!(
                "the token's object for the destination is not as it should be: {what}; nothing \
                 leaves under it"
            ))
            .into()),
        }
    }
}

/// How a key leaves.
pub(super) fn mechanism(wrapping: Wrapping) -> Result<Mechanism<'static>> {
    match wrapping {
        Wrapping::OaepSha256 => Ok(Mechanism::RsaOaep(OaepHash::Sha256)),
        Wrapping::OaepSha1 => Ok(Mechanism::RsaOaep(OaepHash::Sha1)),
        Wrapping::RsaAesSha256 | Wrapping::RsaAesSha1 | Wrapping::AesKw | Wrapping::AesKwp => {
            Err(Error::internal("a key leaves by direct RSA-OAEP alone"))
        }
    }
}

/// What is not as it should be, if anything is.
fn wrong(
    session: &Session,
    object: Handle,
    key: &WrappingKey,
) -> std::result::Result<Option<String>, kms_pkcs11::Error> {
    let bound = Attribute::AllowedMechanisms(vec![MechanismType::RSA_OAEP]);
    for demanded in rights().into_iter().chain([bound]) {
        let told = session.read(object, demanded.name())?;
        if told != Reading::Value(demanded.clone()) {
            return Ok(Some(format!("{demanded:?} is demanded of it")));
        }
    }
    let same = WrappingKey::parse(&session.public_key(object)?)
        .is_ok_and(|told| told.modulus() == key.modulus());
    Ok((!same).then(|| "it is another key".to_owned()))
}

/// What such an object may, and may not.
fn rights() -> [Attribute; 6] {
    [
        Attribute::Trusted(true),
        Attribute::Wrap(true),
        Attribute::Encrypt(false),
        Attribute::Verify(false),
        Attribute::Modifiable(false),
        Attribute::KeyType(KeyType::Rsa),
    ]
}

fn object(name: &DestinationName, key: &WrappingKey) -> Template {
    let mut template = Template::from([
        Attribute::Class(ObjectClass::PublicKey),
        Attribute::Token(true),
        Attribute::Private(false),
        Attribute::Id(key.id().to_bytes().to_vec()),
        Attribute::Label(name.to_string().into_bytes()),
        Attribute::Modulus(key.modulus().to_vec()),
        Attribute::PublicExponent(EXPONENT.to_vec()),
        Attribute::AllowedMechanisms(vec![MechanismType::RSA_OAEP]),
        Attribute::VerifyRecover(false),
        Attribute::Copyable(false),
    ]);
    template.extend(rights());
    template
}

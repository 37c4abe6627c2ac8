//! The life of a key object: made, found again, destroyed.

use kms_core::class::Algorithm;
use kms_core::error::Error;
use kms_core::id::KeyId;
use kms_core::key::{KeySpec, Learned, MODULUS, Origin, Wrapping};
use kms_pkcs11::{
    Attribute, AttributeName, Handle, Kind, Mechanism, OaepHash, ObjectClass, Reading, Template,
};

use super::Wrapped;
use super::desk::Desk;
use super::fault::{Fault, Visit};
use super::fingerprint;
use super::template::{self, Making};

impl Desk {
    /// Makes the key, or takes as made what an interrupted call left whole; what it left half
    /// made is destroyed first (nobody can have used it: it was never recorded as made).
    pub(super) fn generate(&mut self, spec: &KeySpec) -> Visit<Learned> {
        match self.stored(spec)? {
            Stored::Whole(key) => match self.learn(spec, key, Some(Origin::Generated)) {
                Err(Fault::Told(_)) if self.is_torn(spec, key)? => self.destroy(&spec.id)?,
                learned => return learned,
            },
            Stored::Half(halves) => self.destroy_all(&halves)?,
            Stored::Absent => {}
        }
        let made = match template::generate(spec) {
            Making::Secret(mechanism, key) => self.session.generate(&mechanism, &key),
            Making::Pair {
                mechanism,
                public,
                private,
            } => self
                .session
                .generate_pair(&mechanism, &public, &private)
                .map(|(_, private)| private),
        };
        let key = made.map_err(|error| Fault::changing(&error))?;
        self.learn_or_destroy(spec, key, Origin::Generated)
    }

    /// Unwraps the material as a new key. What an interrupted import left under its id goes first,
    /// whole or not: it may be other material than this, and no record ever named it as made.
    pub(super) fn unwrap(
        &mut self,
        wrapped: &Wrapped,
        kwp: Mechanism<'static>,
        spec: &KeySpec,
    ) -> Visit<Learned> {
        match self.stored(spec)? {
            Stored::Whole(_) | Stored::Half(_) => self.destroy(&spec.id)?,
            Stored::Absent => {}
        }
        // Of OAEP nothing can be told from outside but its length.
        wrapped.mechanism.fits(&wrapped.blob)?;
        let algorithm = wrapped.mechanism.unwrapped_by().algorithm();
        let template = template::unwrap(spec);
        let mut by = self.key(&wrapped.by, algorithm, &wrapped.fingerprint)?;
        let mut made = self.bring_in(wrapped, by, &kwp, &template);
        if made
            .as_ref()
            .is_err_and(|error| error.kind() == Kind::Stale)
        {
            self.forget(&wrapped.by);
            by = self.key(&wrapped.by, algorithm, &wrapped.fingerprint)?;
            made = self.bring_in(wrapped, by, &kwp, &template);
        }
        match made {
            Ok(key) => {
                self.try_out(wrapped, spec, key)?;
                self.learn_or_destroy(spec, key, Origin::External)
            }
            Err(error) => Err(match error.kind() {
                Kind::InvalidInput => does_not_unwrap(&error),
                // A blob that does not unwrap, or a dying token: the token does not say which.
                Kind::Ambiguous => match self.prove(&wrapped.by) {
                    Ok(()) => does_not_unwrap(&error),
                    Err(lost) => lost,
                },
                Kind::Lost
                | Kind::Stale
                | Kind::Unsupported
                | Kind::Refused
                | Kind::Full
                | Kind::WrongPin
                | Kind::PinLocked
                | Kind::Other => Fault::changing(&error),
            }),
        }
    }

    /// One call to the token, or two: then the ephemeral key is destroyed at once, whatever became
    /// of the second. It is a session object: a process that ends between the two takes it along.
    fn bring_in(
        &self,
        wrapped: &Wrapped,
        by: Handle,
        kwp: &Mechanism<'static>,
        template: &Template,
    ) -> Result<Handle, kms_pkcs11::Error> {
        let session = &self.session;
        let hash = match wrapped.mechanism {
            Wrapping::OaepSha1 | Wrapping::RsaAesSha1 => OaepHash::Sha1,
            Wrapping::OaepSha256 | Wrapping::RsaAesSha256 => OaepHash::Sha256,
            Wrapping::AesKw => {
                return session.unwrap(&Mechanism::AesKeyWrap, by, &wrapped.blob, template);
            }
            Wrapping::AesKwp => return session.unwrap(kwp, by, &wrapped.blob, template),
        };
        if !wrapped.mechanism.is_hybrid() {
            return session.unwrap(&Mechanism::RsaOaep(hash), by, &wrapped.blob, template);
        }
        if !wrapped.two_steps {
            return session.unwrap(&Mechanism::RsaAesKeyWrap(hash), by, &wrapped.blob, template);
        }
        let (head, tail) = wrapped.blob.split_at(MODULUS.min(wrapped.blob.len()));
        let ephemeral =
            session.unwrap(&Mechanism::RsaOaep(hash), by, head, &template::ephemeral())?;
        let made = session.unwrap(kwp, ephemeral, tail, template);
        let destroyed = session.destroy(ephemeral);
        let made = made?;
        destroyed.map(|()| made)
    }

    /// Whether the wrapped material would come in: as a session object that is destroyed at once.
    /// Where it does not, and the token has OAEP with the other hash, it is asked whether the sender
    /// took that one: the commonest mistake, and no more of an oracle than the first answer.
    pub(super) fn rehearse(
        &mut self,
        wrapped: &Wrapped,
        kwp: Mechanism<'static>,
        spec: &KeySpec,
        other: Option<Wrapping>,
    ) -> Visit<()> {
        wrapped.mechanism.fits(&wrapped.blob)?;
        let algorithm = wrapped.mechanism.unwrapped_by().algorithm();
        let by = self.key(&wrapped.by, algorithm, &wrapped.fingerprint)?;
        let template = template::rehearsal(spec);
        match self.bring_in(wrapped, by, &kwp, &template) {
            Ok(key) => {
                let tried = fingerprint::of(&self.session, spec.class.algorithm(), key, &spec.id);
                let gone = self.session.destroy(key);
                match tried {
                    Ok(_) => gone.map_err(|error| Fault::reading(&error)),
                    Err(error) => {
                        self.prove(&wrapped.by)?;
                        Err(wrong_length().because(error).into())
                    }
                }
            }
            Err(error) if matches!(error.kind(), Kind::InvalidInput | Kind::Ambiguous) => {
                self.prove(&wrapped.by)?;
                let Some(mechanism) = other else {
                    return Err(does_not_unwrap(&error));
                };
                let again = Wrapped {
                    mechanism,
                    ..wrapped.clone()
                };
                match self.bring_in(&again, by, &kwp, &template) {
                    Ok(key) => {
                        self.session
                            .destroy(key)
                            .map_err(|error| Fault::reading(&error))?;
                        Err(Error::invalid(
                            "wrapped_key",
                            format!(
                                "it is wrapped by {}, with the wrong hash of OAEP: wrap it again by {}",
                                mechanism.name(),
                                wrapped.mechanism.name()
                            ),
                        )
                        .into())
                    }
                    Err(_) => Err(does_not_unwrap(&error)),
                }
            }
            Err(error) => {
                // A handle that went stale is found again by the next call.
                self.forget(&wrapped.by);
                Err(Fault::reading(&error))
            }
        }
    }

    /// A token may unwrap any bytes as a key and find out at its first use that they are none.
    /// That is the sender's mistake, as long as token and unwrapping key are well.
    fn try_out(&mut self, wrapped: &Wrapped, spec: &KeySpec, key: Handle) -> Visit<()> {
        let algorithm = spec.class.algorithm();
        let Err(error) = fingerprint::of(&self.session, algorithm, key, &spec.id) else {
            return Ok(());
        };
        self.prove(&wrapped.by).map_err(Fault::perhaps_done)?;
        self.destroy(&spec.id)?;
        Err(wrong_length().because(error).into())
    }

    /// What the token tells of this key, or `None` where it is not there as a whole.
    pub(super) fn look(&mut self, spec: &KeySpec) -> Visit<Option<Learned>> {
        match self.stored(spec)? {
            Stored::Whole(key) => self.learn(spec, key, None).map(Some),
            Stored::Half(_) | Stored::Absent => Ok(None),
        }
    }

    /// Destroys every object of this id, and looks: a token that says yes and keeps one must not
    /// be believed.
    pub(super) fn destroy(&mut self, id: &KeyId) -> Visit<()> {
        self.forget(id);
        let objects = self.find(&template::by_id(id), MOST)?;
        self.destroy_all(&objects)?;
        if objects.is_empty() {
            return Ok(());
        }
        match self.find(&template::by_id(id), MOST) {
            Ok(left) if left.is_empty() => Ok(()),
            Ok(left) => Err(Error::internal(format!(
                "the token says that it destroyed key {id}, and still shows {} of its objects",
                left.len()
            ))
            .into()),
            Err(unseen) => Err(unseen.perhaps_done()),
        }
    }

    fn destroy_all(&self, objects: &[Handle]) -> Visit<()> {
        objects
            .iter()
            .try_for_each(|object| match self.session.destroy(*object) {
                Ok(()) => Ok(()),
                Err(error) if error.kind() == Kind::Stale => self.alive(),
                Err(error) => Err(Fault::changing(&error)),
            })
    }

    fn stored(&self, spec: &KeySpec) -> Visit<Stored> {
        let algorithm = spec.class.algorithm();
        let objects = self.find(&template::by_id(&spec.id), MOST)?;
        let key = self.find_one(&spec.id, template::object_class(algorithm))?;
        let wanted = match algorithm {
            Algorithm::Aes256 | Algorithm::Aes256Kw | Algorithm::HmacSha256 => 1,
            Algorithm::Rsa3072 | Algorithm::EcdsaP256 => {
                self.find_one(&spec.id, ObjectClass::PublicKey)?;
                2
            }
        };
        match key {
            _ if objects.is_empty() => Ok(Stored::Absent),
            Some(key) if objects.len() == wanted => Ok(Stored::Whole(key)),
            _ if objects.len() < wanted => Ok(Stored::Half(objects)),
            _ => Err(Error::internal(format!(
                "the token has objects for key {} that are not of its class",
                spec.id
            ))
            .into()),
        }
    }

    /// New material that is not what its class demands must not stay: nobody has used it yet.
    fn learn_or_destroy(&mut self, spec: &KeySpec, key: Handle, origin: Origin) -> Visit<Learned> {
        match self.learn(spec, key, Some(origin)) {
            Err(Fault::Told(error)) => {
                self.destroy(&spec.id)?;
                Err(Fault::Told(error))
            }
            Err(lost @ Fault::Lost { .. }) => Err(lost.perhaps_done()),
            Ok(learned) => Ok(learned),
        }
    }

    fn learn(&mut self, spec: &KeySpec, key: Handle, origin: Option<Origin>) -> Visit<Learned> {
        self.check(spec, key, origin)?;
        let algorithm = spec.class.algorithm();
        let reading = |error| Fault::reading(&error);
        let fingerprint =
            fingerprint::of(&self.session, algorithm, key, &spec.id).map_err(reading)?;
        let public_key = match algorithm {
            Algorithm::Rsa3072 => Some(self.session.public_key(key).map_err(reading)?),
            Algorithm::EcdsaP256 => {
                Some(fingerprint::public_half(&self.session, key, &spec.id).map_err(reading)?)
            }
            Algorithm::Aes256 | Algorithm::Aes256Kw | Algorithm::HmacSha256 => None,
        };
        Ok(Learned {
            fingerprint,
            public_key,
            recognised: None,
        })
    }

    /// Whether this is an object that the token was interrupted over: all that we asked for, but
    /// not what the token itself adds once it has made the material. SoftHSM writes an object in
    /// two steps. What has other attributes than ours is not torn but somebody's, and stays.
    fn is_torn(&self, spec: &KeySpec, key: Handle) -> Visit<bool> {
        match self.check(spec, key, None) {
            Ok(()) => {}
            Err(Fault::Told(_)) => return Ok(false),
            Err(lost @ Fault::Lost { .. }) => return Err(lost),
        }
        let local = self
            .session
            .read(key, AttributeName::Local)
            .map_err(|error| Fault::reading(&error))?;
        Ok(matches!(local, Reading::Value(Attribute::Local(false))))
    }

    /// Reads back every attribute that the class demands.
    fn check(&self, spec: &KeySpec, key: Handle, origin: Option<Origin>) -> Visit<()> {
        for demanded in template::demands(spec, origin).attributes() {
            let name = demanded.name();
            let reading = self
                .session
                .read(key, name)
                .map_err(|error| Fault::reading(&error))?;
            match reading {
                Reading::Value(value) if same(&value, demanded) => {}
                // SoftHSM keeps no length of what it unwraps: nothing can be said there.
                Reading::Value(Attribute::ValueLen(0)) if origin != Some(Origin::Generated) => {}
                Reading::Value(Attribute::ValueLen(_)) if origin == Some(Origin::External) => {
                    return Err(wrong_length().into());
                }
                // Nor need a token say of what it unwraps that it was never only here: kryoptic
                // keeps no such attribute.
                Reading::Absent
                    if matches!(
                        demanded,
                        Attribute::AlwaysSensitive(false) | Attribute::NeverExtractable(false)
                    ) => {}
                // A token may keep a template without showing it; the probe tried whether it
                // holds.
                Reading::Absent | Reading::Sensitive if name == AttributeName::UnwrapTemplate => {}
                Reading::Value(_) | Reading::Absent | Reading::Sensitive => {
                    return Err(Error::internal(format!(
                        "key {} does not have the attribute that its class demands: {demanded:?}, \
                         the token says {reading:?}",
                        spec.id
                    ))
                    .into());
                }
            }
        }
        Ok(())
    }
}

/// What is on the token under an id.
enum Stored {
    Whole(Handle),
    Half(Vec<Handle>),
    Absent,
}

/// More objects than a key can have.
const MOST: usize = 8;

/// Tokens keep lists of mechanisms and templates in an order of their own.
fn same(read: &Attribute, demanded: &Attribute) -> bool {
    match (read, demanded) {
        (Attribute::AllowedMechanisms(read), Attribute::AllowedMechanisms(demanded)) => {
            read.len() == demanded.len() && demanded.iter().all(|one| read.contains(one))
        }
        (Attribute::UnwrapTemplate(read), Attribute::UnwrapTemplate(demanded)) => {
            let (read, demanded) = (read.attributes(), demanded.attributes());
            read.len() == demanded.len()
                && demanded
                    .iter()
                    .all(|one| read.iter().any(|other| same(other, one)))
        }
        (read, demanded) => read == demanded,
    }
}

fn wrong_length() -> Error {
    Error::invalid("wrapped_key", "what was wrapped is not a key of 256 bits")
}

fn does_not_unwrap(error: &kms_pkcs11::Error) -> Fault {
    Error::invalid(
        "wrapped_key",
        "the wrapped key does not unwrap: check that it was wrapped with this public key and \
         this mechanism, and was not cut or changed on its way",
    )
    .because(error)
    .into()
}

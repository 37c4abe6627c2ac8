//! A token thread's place of work: one session, and the handles that it has found.
//!
//! Everything here is worthless once the session, the login or the token is lost: then the whole
//! desk is dropped and a new one set up, so that no handle outlives the session that gave it.

use std::collections::HashMap;

use kms_core::class::Algorithm;
use kms_core::error::Error;
use kms_core::id::KeyId;
use kms_pkcs11::{Handle, Module, ObjectClass, Session, Slot, Template};

use super::fault::{Fault, Visit};
use super::{fingerprint, template};

/// One session with what is known through it. Belongs to whoever holds its lock.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) session: Session,
    module: Module,
    slot: Slot,
    keys: HashMap<KeyId, Known>,
}

/// A key that has been found, and proved to be what it should.
#[derive(Debug)]
struct Known {
    handle: Handle,
    algorithm: Algorithm,
    fingerprint: String,
}

impl Desk {
    pub(super) fn new(module: Module, slot: Slot, session: Session) -> Self {
        Self {
            session,
            module,
            slot,
            keys: HashMap::new(),
        }
    }

    /// The handle of a key, once its material is known to be what was recorded.
    ///
    /// # Errors
    /// `Internal` where the key is not there, is there twice, or is another one: whatever the
    /// caller wanted, it must not be done with that object.
    pub(super) fn key(
        &mut self,
        id: &KeyId,
        algorithm: Algorithm,
        recorded: &str,
    ) -> Visit<Handle> {
        // What this thread remembers may be a key that another has destroyed and made again.
        if self
            .keys
            .get(id)
            .is_some_and(|known| known.fingerprint != recorded)
        {
            self.forget(id);
        }
        if !self.keys.contains_key(id) {
            let handle = self
                .find_one(id, template::object_class(algorithm))?
                .ok_or_else(|| {
                    Error::internal(format!(
                        "key {id} is recorded, and the token does not have it"
                    ))
                })?;
            let fingerprint = fingerprint::of(&self.session, algorithm, handle, id)
                .map_err(|error| Fault::reading(&error))?;
            self.keys.insert(
                *id,
                Known {
                    handle,
                    algorithm,
                    fingerprint,
                },
            );
        }
        match self.keys.get(id) {
            Some(known) if known.algorithm == algorithm && known.fingerprint == recorded => {
                Ok(known.handle)
            }
            Some(known) if known.algorithm == algorithm => Err(Error::internal(format!(
                "key {id} on the token is not the one that was recorded: its fingerprint is \
                     {}, recorded was {recorded}",
                known.fingerprint
            ))
            .into()),
            Some(known) => Err(Error::internal(format!(
                "key {id} is {} and was to be used as {algorithm}",
                known.algorithm
            ))
            .into()),
            None => Err(Error::internal("a key that was just found is not known").into()),
        }
    }

    /// The known-answer test: does this key, on this session, still answer as it did? What fails
    /// or answers otherwise is a lost token, whatever it said of the caller's bytes.
    pub(super) fn prove(&mut self, id: &KeyId) -> Visit<()> {
        let Some(known) = self.keys.get(id) else {
            return self.alive();
        };
        let lost = |why: String| Fault::Lost {
            why,
            maybe_done: false,
        };
        match fingerprint::of(&self.session, known.algorithm, known.handle, id) {
            Ok(answer) if answer == known.fingerprint => Ok(()),
            Ok(_) => Err(lost(format!("key {id} fails its known-answer test"))),
            Err(error) => Err(lost(format!("known-answer test of key {id}: {error}"))),
        }
    }

    /// Whether the token still answers, and to us. One that went away, or that we are no longer
    /// logged in to, shows on SoftHSM as one that has no objects: absence means something only
    /// while this says yes.
    pub(super) fn alive(&self) -> Visit<()> {
        let lost = |why: String| Fault::Lost {
            why,
            maybe_done: false,
        };
        let answer = |error: kms_pkcs11::Error| lost(error.to_string());
        self.module.token(self.slot).map_err(answer)?;
        if self.session.logged_in().map_err(answer)? {
            Ok(())
        } else {
            Err(lost("the login is gone".to_owned()))
        }
    }

    /// The object of this class with this id, if there is one; `None` is the token's own word.
    pub(super) fn find_one(&self, id: &KeyId, class: ObjectClass) -> Visit<Option<Handle>> {
        let wanted = template::by_id(id).with(kms_pkcs11::Attribute::Class(class));
        match self.find(&wanted, 2)?.as_slice() {
            [] => Ok(None),
            [handle] => Ok(Some(*handle)),
            _ => Err(Error::internal(format!(
                "the token has two objects for key {id}: one of them is not ours"
            ))
            .into()),
        }
    }

    pub(super) fn find(&self, template: &Template, limit: usize) -> Visit<Vec<Handle>> {
        let found = self
            .session
            .find(template, limit)
            .map_err(|error| Fault::reading(&error))?;
        if found.is_empty() {
            self.alive()?;
        }
        Ok(found)
    }

    /// Forgets a key: destroyed, or its handle has gone stale.
    pub(super) fn forget(&mut self, id: &KeyId) {
        self.keys.remove(id);
    }
}

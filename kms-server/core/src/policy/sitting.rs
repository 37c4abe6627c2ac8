//! Many questions in one sitting: what they share is made for Cedar once.

use super::entities::{context, entities};
use super::question::{Answer, Question};
use super::{Judge, Policy, Regardless};
use crate::error::{Error, Result};
use cedar_policy::{Context, Entities, PolicySet};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// Asks one policy many questions about bindings and resources that stay as they are meanwhile: in a
/// review the same people, places and circumstances come back with every action.
pub struct Sitting<'p> {
    policy: &'p Policy,
    contexts: Mutex<BTreeMap<String, Context>>,
    entities: Mutex<BTreeMap<String, Arc<Entities>>>,
}

impl fmt::Debug for Sitting<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sitting of {:?}", self.policy)
    }
}

impl<'p> Sitting<'p> {
    pub(super) fn new(policy: &'p Policy) -> Self {
        Sitting {
            policy,
            contexts: Mutex::default(),
            entities: Mutex::default(),
        }
    }

    fn put(&self, set: &PolicySet, question: &Question<'_>) -> Result<Answer> {
        let circumstances = &question.circumstances;
        let context = once(&self.contexts, format!("{circumstances:?}"), || {
            context(circumstances)
        })?;
        let about = format!("{} {:?}", question.principal, question.target);
        let entities = once(&self.entities, about, || {
            entities(question, None).map(Arc::new)
        })?;
        self.policy.put(set, question, context, &entities)
    }
}

impl Judge for Sitting<'_> {
    fn answer(&self, question: &Question<'_>) -> Result<Answer> {
        // First, because most questions end here.
        self.policy.is_asked(question)?;
        self.put(&self.policy.about(question.action)?.all, question)
    }

    fn regardless(&self, of: Regardless, question: &Question<'_>) -> Result<bool> {
        if self.policy.is_asked(question).is_err() {
            return Ok(false);
        }
        let open = self.policy.open(of, question.action)?;
        self.put(open, question).map(|answer| answer.allowed)
    }

    fn forbidden(&self, question: &Question<'_>) -> Option<String> {
        self.policy.forbidden(question)
    }
}

fn once<T: Clone>(
    made: &Mutex<BTreeMap<String, T>>,
    key: String,
    make: impl FnOnce() -> Result<T>,
) -> Result<T> {
    // A value is put in whole or not at all: a thread that panicked left nothing half done.
    let mut made = made.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = made.get(&key) {
        return Ok::<T, Error>(known.clone());
    }
    let new = make()?;
    made.insert(key, new.clone());
    Ok(new)
}

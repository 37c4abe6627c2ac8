//! What must be gone before anything is said of it.

use super::Subject;
use crate::error::{Error, Result};
use crate::key::Version;
use crate::state::State;
use crate::view::View;

impl Subject {
    /// The versions that it is about, all of them destroyed.
    ///
    /// # Errors
    /// `NotFound` when it is not there, `State` when it is not gone.
    pub fn gone<'a>(&self, view: &'a View) -> Result<Vec<&'a Version>> {
        match self {
            Subject::Version(name) => {
                let (version, _) = view.version(name).ok_or_else(|| Error::not_found(name))?;
                if version.state == State::Destroyed {
                    Ok(vec![version])
                } else {
                    Err(Error::state(format!(
                        "{name} is {}; what is not destroyed has no attestation",
                        version.state
                    )))
                }
            }
            Subject::Space(name) => {
                let (space, _) = view.space(name).ok_or_else(|| Error::not_found(name))?;
                if space.erased.is_none() {
                    return Err(Error::state(format!(
                        "{name} is not erased; until then only its destroyed versions have \
                         attestations"
                    )));
                }
                let mut versions: Vec<&Version> = view.versions_in(name).collect();
                versions.sort_by_key(|v| (v.name.key(), v.name.number()));
                Ok(versions)
            }
        }
    }
}

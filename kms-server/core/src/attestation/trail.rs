//! What the changes log holds of a destruction.

use super::{Place, Subject};
use crate::command::LogName;
use crate::error::Result;
use crate::key::Version;
use crate::name::{ProposalName, VersionName};
use crate::record::{Detail, Intention, Record, Settled};
use crate::space::Space;
use crate::state::State;
use crate::value::Value;
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// The changes log, read from its first entry, for what it holds of one subject.
#[derive(Debug)]
pub struct Trail {
    subject: Subject,
    /// How the names of what it is about begin.
    prefix: String,
    open: Option<(u64, Box<Intention>)>,
    /// The proposals by which destructions that stand were scheduled.
    scheduled: BTreeMap<VersionName, Option<ProposalName>>,
    /// The proposal by which the space is decommissioned.
    decommissioned: Option<Option<ProposalName>>,
    found: BTreeMap<VersionName, Found>,
}

/// What the log holds of the destruction of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The entry that says that it was done.
    pub place: Place,
    /// Whether its whole space was erased.
    pub erased: bool,
    /// The proposal by which it was decided.
    pub decided: Option<ProposalName>,
    /// The proposal by which it was done.
    pub destroyed: Option<ProposalName>,
}

impl Trail {
    /// Nothing read yet.
    #[must_use]
    pub fn new(subject: Subject) -> Self {
        Trail {
            prefix: subject.space().to_string(),
            subject,
            open: None,
            scheduled: BTreeMap::new(),
            decommissioned: None,
            found: BTreeMap::new(),
        }
    }

    /// Takes the next entry in.
    ///
    /// # Errors
    /// `Internal` when it is no record.
    pub fn feed(&mut self, entry: &[u8]) -> Result<()> {
        // Most entries are of other spaces, and are not parsed: an intention and its outcome both
        // name the resource that they are about.
        let prefix = self.prefix.as_bytes();
        if !entry.windows(prefix.len()).any(|part| part == prefix) {
            return Ok(());
        }
        let record = Record::decode(entry)?;
        match record.detail() {
            Detail::Intention(intention) => self.open = Some((record.index(), intention.clone())),
            Detail::Outcome(outcome) => {
                let open = self.open.take().filter(|(at, _)| *at == outcome.intention);
                if let (Some((_, intention)), Settled::Committed { .. }) = (open, &outcome.settled)
                {
                    self.settle(&intention, || Place {
                        log: LogName::Changes.name().into(),
                        index: record.index(),
                        sha256: HEXLOWER.encode(&Sha256::digest(entry)),
                    });
                }
            }
            Detail::Use(_) => {}
        }
        Ok(())
    }

    /// What the log holds of the destruction of this version.
    #[must_use]
    pub fn found(&self, version: &VersionName) -> Option<&Found> {
        self.found.get(version)
    }

    fn settle(&mut self, intention: &Intention, place: impl Fn() -> Place) {
        let by = intention.proposal.as_ref();
        let values = || intention.plan.writes.iter().map(|write| &write.value);
        let space = values()
            .filter_map(Value::as_space)
            .find(|space| space.name == *self.subject.space());
        // Nothing but its erasure writes a space together with versions of it.
        let erased = space.is_some();
        for version in values().filter_map(Value::as_version) {
            if self.subject.has(&version.name) {
                self.version(version, by, erased, &place);
            }
        }
        if let Some(space) = space {
            self.space(space, by);
        }
    }

    fn version(
        &mut self,
        version: &Version,
        by: Option<&ProposalName>,
        erased: bool,
        place: &impl Fn() -> Place,
    ) {
        let name = &version.name;
        if version.state == State::Destroyed {
            let scheduled = self.scheduled.get(name).cloned().flatten();
            let found = Found {
                place: place(),
                erased,
                decided: if erased {
                    self.decommissioned.clone().flatten()
                } else {
                    scheduled
                },
                destroyed: by.cloned(),
            };
            self.found.insert(name.clone(), found);
        } else if version.destruction.is_some() {
            // The first write with a day in it set the day.
            let scheduled = self.scheduled.entry(name.clone());
            scheduled.or_insert_with(|| by.cloned());
        } else {
            self.scheduled.remove(name);
        }
    }

    fn space(&mut self, space: &Space, by: Option<&ProposalName>) {
        if space.decommission.is_none() {
            self.decommissioned = None;
        } else if self.decommissioned.is_none() {
            self.decommissioned = Some(by.cloned());
        }
    }
}

//! What an attestation says.

use super::{Found, Moment, Subject, Trail};
use crate::backup::{Backup, BackupName};
use crate::caller::{Identity, Principal, TrustDomain};
use crate::class::{Algorithm, Class};
use crate::deployment::{Deployment, Environment};
use crate::error::{Error, Result};
use crate::id::KeyId;
use crate::key::{Key, Moved, Origin, Version};
use crate::name::{DestinationName, ProposalName, Slug, VersionName};
use crate::time::Time;
use crate::view::View;
use serde::{Deserialize, Serialize};

/// What an attestation says. Its JSON form, fields in this order, is what is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// [`Statement::TYPE`].
    #[serde(rename = "type")]
    kind: String,
    /// Whose it is.
    pub deployment: Deployed,
    /// What was destroyed.
    pub subject: Subject,
    /// As of when all of it holds.
    pub issued: Moment,
    /// Whether every declared backup that may hold any of it has expired, and none of it left for
    /// another HSM.
    #[serde(rename = "final")]
    pub is_final: bool,
    /// If not: when the last of them will have.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub final_from: Option<Moment>,
    /// What it proves, in words.
    pub says: String,
    /// What it does not prove, in words.
    pub does_not_prove: String,
    /// The token that was looked at.
    pub token: Token,
    /// What was destroyed.
    pub versions: Vec<Destroyed>,
    /// The declared backups of the token that may hold any of it.
    pub backups: Vec<Held>,
}

/// A deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deployed {
    /// Its name.
    pub name: Slug,
    /// Of every identity in it.
    pub trust_domain: TrustDomain,
    /// Development or production.
    pub environment: Environment,
}

impl From<&Deployment> for Deployed {
    fn from(deployment: &Deployment) -> Self {
        Deployed {
            name: deployment.name.clone(),
            trust_domain: deployment.trust_domain.clone(),
            environment: deployment.environment,
        }
    }
}

/// A token (`CK_TOKEN_INFO`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// Its label.
    pub label: String,
    /// Its serial number.
    pub serial: String,
    /// Its model.
    pub model: String,
}

/// A version that was destroyed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Destroyed {
    /// Its name.
    pub name: VersionName,
    /// What it was called in the HSM.
    pub cka_id: KeyId,
    /// What it was for.
    pub class: Class,
    /// What it was.
    pub algorithm: Algorithm,
    /// Where its material came from.
    pub origin: Origin,
    /// Whether its material could leave the HSM, wrapped.
    pub exportable: bool,
    /// What the HSM told of it when it was made: nothing of the material can be told from it.
    pub fingerprint: Option<String>,
    /// When it was made.
    pub created: Moment,
    /// When it was compromised, if it was.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub compromised: Option<Moment>,
    /// When it was last used; `None`: no use is known.
    pub last_use: Option<Moment>,
    /// Who decided that it goes, after a waiting period; `None`: it went without one.
    pub decided: Option<Act>,
    /// Who had it destroyed.
    pub destroyed: Act,
    /// Where the audit log says so.
    pub record: Place,
    /// Every time that it left the HSM, wrapped for another one.
    pub exports: Vec<Left>,
}

/// That material left for another HSM: what became of it there, nobody here can say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Left {
    /// Where it went.
    pub destination: DestinationName,
    /// SHA-256 of the SubjectPublicKeyInfo that it was wrapped under, hexadecimal.
    pub public_key_sha256: String,
    /// Who had it exported, and who agreed.
    pub act: Act,
}

/// What somebody did, and who agreed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Act {
    /// When.
    pub time: Moment,
    /// The identity of who asked.
    pub actor: String,
    /// In their words.
    pub reason: String,
    /// The identities of the custodians who approved it, each with a signature in the audit log.
    pub approvers: Vec<String>,
}

/// An entry of an audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// Which log.
    pub log: String,
    /// The entry's index.
    pub index: u64,
    /// SHA-256 of the entry's bytes, hexadecimal.
    pub sha256: String,
}

/// A declared backup of the token that may hold something of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Held {
    /// Its name.
    pub name: BackupName,
    /// Where it is.
    pub title: String,
    /// When it was taken.
    pub taken: Moment,
    /// From then on nothing of it is kept.
    pub expires: Moment,
}

impl Statement {
    /// What every statement of this form begins with.
    pub const TYPE: &str = "emc2-kms/attestation-of-destruction/v1";

    const SAYS: &str = "Each version listed here was destroyed in the HSM, which found no object \
                        under its id afterwards; when this was issued the token showed none either. \
                        This is final once every backup listed here has expired.";

    const SAYS_OF_EXPORTS: &str = " It never is for a version that lists exports: that one left for \
                                   another HSM, and whether it is destroyed there is for that one to \
                                   attest.";

    const DOES_NOT_PROVE: &str = "It does not prove that no copy is left elsewhere: in a backup of the \
                                  token that nobody declared, or that was kept longer than declared; \
                                  with whoever sent the material in, where its origin is external; \
                                  with whoever an export went to. What was decrypted while the key \
                                  lived is not undone. When a backup was taken and when it expires is \
                                  the word of who declared it.";

    /// What can be said of this now: `last` tells when a version was last used, `trail` what the
    /// changes log holds of it.
    ///
    /// # Errors
    /// As [`Subject::gone`]; `Internal` where the log does not tell of a destruction.
    pub fn of(
        view: &View,
        subject: Subject,
        issued: Time,
        token: Token,
        trail: &Trail,
        last: impl Fn(&VersionName) -> Option<Time>,
    ) -> Result<Self> {
        let deployment = view.founded()?;
        let gone = subject.gone(view)?;
        let may_hold = |backup: &&Backup| {
            gone.iter()
                .any(|version| backup.may_hold(version.created, version.moved.time))
        };
        let backups: Vec<Held> = view.backups().filter(may_hold).map(Held::from).collect();
        let versions = gone.iter().map(|version| {
            let found = trail.found(&version.name).ok_or_else(|| {
                Error::internal(format!("no record of the destruction of {}", version.name))
            })?;
            let (key, _) = view
                .key(version.name.key())
                .ok_or_else(|| Error::internal(format!("{} is of no key", version.name)))?;
            let witness = Witness { view, deployment };
            witness.destroyed(key, version, found, last(&version.name))
        });
        let versions: Vec<Destroyed> = versions.collect::<Result<_>>()?;
        let issued = Moment::from(issued);
        let exported = exported(&versions);
        let final_from = left(&backups, issued).filter(|_| !exported);
        let mut says = Self::SAYS.to_owned();
        if exported {
            says.push_str(Self::SAYS_OF_EXPORTS);
        }
        Ok(Statement {
            kind: Self::TYPE.into(),
            deployment: Deployed::from(deployment),
            subject,
            issued,
            is_final: final_from.is_none() && !exported,
            final_from,
            says,
            does_not_prove: Self::DOES_NOT_PROVE.into(),
            token,
            versions,
            backups,
        })
    }

    /// Its bytes: what is signed.
    ///
    /// # Errors
    /// `Internal` when it has no JSON form.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let text = serde_json::to_string_pretty(self);
        let text = text.map_err(|e| Error::internal(format!("a statement: {e}")))?;
        Ok((text + "\n").into_bytes())
    }

    /// The statement of these bytes. That a key signed them is for [`super::verify`] to say.
    ///
    /// # Errors
    /// `Invalid` when they are none of this form, or contradict themselves.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let wrong = |what: &str| Error::invalid("statement", what);
        let statement: Statement = serde_json::from_slice(bytes)
            .map_err(|e| wrong("this is not an attestation of destruction").because(e))?;
        if statement.kind != Self::TYPE {
            return Err(wrong("this is an attestation of another form"));
        }
        let exported = exported(&statement.versions);
        let left = left(&statement.backups, statement.issued).filter(|_| !exported);
        if statement.is_final != (left.is_none() && !exported) || statement.final_from != left {
            return Err(wrong(
                "it contradicts itself: it is final when every backup that it lists has expired, and \
                 nothing that it lists left for another HSM",
            ));
        }
        if statement.encode()? != bytes {
            return Err(wrong("it is not written as it was issued"));
        }
        let about = &statement.subject;
        if !statement.versions.iter().all(|v| about.has(&v.name)) {
            return Err(wrong("it lists a version that is not what it is about"));
        }
        Ok(statement)
    }
}

/// When the last backup that has not expired will have; `None` when all have.
fn left(backups: &[Held], issued: Moment) -> Option<Moment> {
    let expires = backups.iter().map(|backup| backup.expires);
    expires.max().filter(|last| *last > issued)
}

/// Whether any of it is not here alone.
fn exported(versions: &[Destroyed]) -> bool {
    versions.iter().any(|version| !version.exports.is_empty())
}

/// What a statement is made from.
#[derive(Clone, Copy)]
struct Witness<'a> {
    view: &'a View,
    deployment: &'a Deployment,
}

impl Witness<'_> {
    fn destroyed(
        self,
        key: &Key,
        version: &Version,
        found: &Found,
        last: Option<Time>,
    ) -> Result<Destroyed> {
        let erased = || {
            let (space, _) = self.view.space(version.name.key().space())?;
            space.decommission.as_ref().map(|decided| &decided.moved)
        };
        let decided = if found.erased {
            erased()
        } else {
            version.destruction.as_ref().map(|decided| &decided.moved)
        };
        let decided = decided.map(|moved| self.act(moved, found.decided.as_ref()));
        let exports = version.exports.iter().map(|export| {
            Ok(Left {
                destination: export.destination.clone(),
                public_key_sha256: export.public_key_sha256.clone(),
                act: self.act(&export.moved, export.proposal.as_ref())?,
            })
        });
        Ok(Destroyed {
            name: version.name.clone(),
            cka_id: version.id,
            class: key.class,
            algorithm: version.algorithm,
            origin: version.origin,
            exportable: key.exportable,
            fingerprint: version.learned.as_ref().map(|l| l.fingerprint.clone()),
            created: version.created.into(),
            compromised: version.compromised.map(Moment::from),
            last_use: last.map(Moment::from),
            decided: decided.transpose()?,
            destroyed: self.act(&version.moved, found.destroyed.as_ref())?,
            record: found.place.clone(),
            exports: exports.collect::<Result<_>>()?,
        })
    }

    /// What was done, and who approved it: replaying the log verified each signature.
    fn act(self, moved: &Moved, carried: Option<&ProposalName>) -> Result<Act> {
        let approvers = match carried {
            None => vec![],
            Some(name) => {
                let (proposal, _) = self
                    .view
                    .proposal(name)
                    .ok_or_else(|| Error::internal(format!("{name} is not there")))?;
                let custodians = proposal.approvals.iter().map(|a| &a.custodian);
                custodians.map(|who| self.identity(who)).collect()
            }
        };
        Ok(Act {
            time: moved.time.into(),
            actor: moved.actor.clone(),
            reason: moved.reason.clone(),
            approvers,
        })
    }

    fn identity(self, principal: &Principal) -> String {
        let identity = Identity {
            trust_domain: self.deployment.trust_domain.clone(),
            principal: principal.clone(),
        };
        identity.to_string()
    }
}

impl From<&Backup> for Held {
    fn from(backup: &Backup) -> Self {
        Held {
            name: backup.name.clone(),
            title: backup.title.clone(),
            taken: backup.taken.into(),
            expires: backup.expires.into(),
        }
    }
}

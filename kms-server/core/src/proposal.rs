//! Dual control: a command that waits for others to agree.
//!
//! A custodian signs, with the key of their certificate, a message that names the verdict, the
//! custodian and a digest of everything that makes the proposal what it is:
//!
//! ```text
//! digest  = SHA-256 of the fields, each with a 32-bit big-endian length before it:
//!           "emc2-kms/proposal/v1", deployment, proposal, proposer, action, command (JSON),
//!           expiry (ms since 1970, decimal), then for each resource that would change its name and
//!           its revision (decimal; empty when there is none yet)
//! message = "emc2-kms/approval/v1", deployment, digest, custodian, each with its length
//! ```

use crate::action::Action;
use crate::caller::Principal;
use crate::certificate::{Certificate, Scheme};
use crate::codec;
use crate::command::Change;
use crate::deployment::Deployment;
use crate::error::{Error, Result};
use crate::key::Moved;
use crate::name::{ProposalName, Slug};
use crate::revision::Revision;
use crate::time::{HOUR, Time};
use crate::view::View;
use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

/// How long a proposal waits, in milliseconds: three days.
pub const LIFETIME: u64 = 72 * HOUR;

/// A command that waits for others to agree, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proposal {
    /// What is agreed to.
    pub terms: Terms,
    /// The resource that it is about: its sort and its name.
    pub resource: (String, String),
    /// How many approvals the policy demanded when it was filed; what counts is what it demands
    /// when it is carried out.
    pub needed: u8,
    /// When it was filed.
    pub filed: Time,
    /// Who agreed so far.
    pub approvals: Vec<Approval>,
    /// What became of it.
    pub state: ProposalState,
    /// When, by whom and why it ended, if it did.
    pub ended: Option<Moved>,
}

/// What is agreed to: all of it is under each custodian's signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// Its name.
    pub name: ProposalName,
    /// Who asks.
    pub proposer: Principal,
    /// What is asked.
    pub action: Action,
    /// The command, as JSON: these bytes are what is signed.
    pub command: String,
    /// Until when it can be carried out.
    pub expires: Time,
    /// Every resource that would change, as it was when this was filed.
    pub seen: Vec<Seen>,
}

/// A resource as it was; `None`: there was none.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seen {
    /// Its name.
    pub name: String,
    /// Its revision.
    pub revision: Option<Revision>,
}

/// A custodian's agreement: a signature over the proposal's terms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// Who agreed.
    pub custodian: Principal,
    /// With which certificate.
    pub certificate: Certificate,
    /// How it was signed.
    pub scheme: Scheme,
    /// The signature, base64.
    pub signature: String,
    /// When.
    pub time: Time,
    /// In their words.
    pub reason: String,
}

/// What became of a proposal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProposalState {
    /// It waits, until it expires.
    Waiting,
    /// It was carried out, once and for all.
    Executed,
    /// A custodian turned it down.
    Rejected,
    /// Who proposed it took it back.
    Withdrawn,
}

impl ProposalState {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ProposalState::Waiting => "waiting",
            ProposalState::Executed => "executed",
            ProposalState::Rejected => "rejected",
            ProposalState::Withdrawn => "withdrawn",
        }
    }
}

impl Terms {
    /// The command that waits.
    ///
    /// # Errors
    /// `Internal` when the text is no command of this service.
    pub fn change(&self) -> Result<Change> {
        serde_json::from_str(&self.command)
            .map_err(|e| Error::internal(format!("{}: {e}", self.name)))
    }

    /// A digest of all of it, in this deployment.
    #[must_use]
    pub fn digest(&self, deployment: &Slug) -> [u8; 32] {
        let mut out = Vec::new();
        let mut put = |field: &str| codec::put(&mut out, field.as_bytes());
        put("emc2-kms/proposal/v1");
        put(deployment.as_str());
        put(&self.name.to_string());
        put(&self.proposer.to_string());
        put(self.action.name());
        put(&self.command);
        put(&self.expires.0.to_string());
        for seen in &self.seen {
            put(&seen.name);
            put(&seen.revision.map(|r| r.to_string()).unwrap_or_default());
        }
        Sha256::digest(&out).into()
    }

    /// What a custodian signs to approve it.
    #[must_use]
    pub fn message(&self, deployment: &Slug, custodian: &Principal) -> Vec<u8> {
        let mut out = Vec::new();
        codec::put(&mut out, b"emc2-kms/approval/v1");
        codec::put(&mut out, deployment.as_str().as_bytes());
        codec::put(&mut out, &self.digest(deployment));
        codec::put(&mut out, custodian.to_string().as_bytes());
        out
    }
}

impl Approval {
    /// The signature's bytes; empty when they are none.
    #[must_use]
    pub fn signature_bytes(&self) -> Vec<u8> {
        BASE64.decode(self.signature.as_bytes()).unwrap_or_default()
    }

    /// Makes sure that this person, by a certificate of theirs, signed these terms in this
    /// deployment.
    ///
    /// # Errors
    /// `Invalid` when it is not so.
    pub fn verify(&self, view: &View, deployment: &Deployment, terms: &Terms) -> Result<()> {
        let identity = self.certificate.identity();
        let theirs = identity.trust_domain == deployment.trust_domain
            && *view.who(&identity.principal) == self.custodian;
        if !theirs {
            return Err(Error::invalid(
                "certificate",
                "the certificate is not of the custodian who is named",
            ));
        }
        let signature = BASE64
            .decode(self.signature.as_bytes())
            .map_err(|e| Error::invalid("signature", "the signature is not base64").because(e))?;
        let message = terms.message(&deployment.name, &self.custodian);
        self.certificate.verify(self.scheme, &message, &signature)
    }
}

impl Proposal {
    /// Whether it can still be approved or carried out.
    #[must_use]
    pub fn waits(&self, now: Time) -> bool {
        self.state == ProposalState::Waiting && now < self.terms.expires
    }

    /// What became of it, as it reads on from its name, once it does not wait any more.
    #[must_use]
    pub fn over(&self) -> &'static str {
        match self.state {
            ProposalState::Waiting => "has expired",
            ProposalState::Executed => "was carried out already",
            ProposalState::Rejected => "was rejected",
            ProposalState::Withdrawn => "was withdrawn",
        }
    }

    /// Whether everything that it would change is still as it was.
    #[must_use]
    pub fn still_applies(&self, view: &View) -> bool {
        self.terms
            .seen
            .iter()
            .all(|seen| view.get(&seen.name).map(|s| s.revision) == seen.revision)
    }

    /// The people whose signatures hold: distinct, and none of them who proposed it.
    #[must_use]
    pub fn agreed(&self, view: &View, deployment: &Deployment) -> BTreeSet<&Principal> {
        self.approvals
            .iter()
            .filter(|a| a.custodian != self.terms.proposer)
            .filter(|a| a.verify(view, deployment, &self.terms).is_ok())
            .map(|a| &a.custodian)
            .collect()
    }
}

//! What a permitted change will write, and what the HSM has to do for it.

mod act;
mod backup;
mod chain;
mod destruction;
mod edge;
mod emergency;
mod export;
mod key;
mod proposal;
mod quota;
mod rebuild;
mod renewal;
mod rewrap;
mod rules;
mod space;
mod version;

pub use act::{Act, Leaving};
pub use proposal::{Difference, carried_out, difference, file};

use crate::action::Action;
use crate::caller::{Caller, Principal};
use crate::command::Change;
use crate::due::{Outlook, Steady};
use crate::error::{Error, Result};
use crate::id::KeyUid;
use crate::key::{Key, Learned, Moved, Origin};
use crate::lifecycle::Uses;
use crate::name::{KeyName, ProposalName};
use crate::proposal::ProposalState;
use crate::revision::Revision;
use crate::time::Time;
use crate::value::Value;
use crate::view::View;
use edge::create_edge;
use key::{create_key, first_version, new_key};
use serde::{Deserialize, Serialize};
pub use version::receives;
use version::{import, move_version, rotate};

/// A planned change: values to write, each on an expected revision, and an act of the HSM before.
/// This is what an intention records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// What the HSM does first.
    pub act: Act,
    /// What the store holds afterwards.
    pub writes: Vec<Write>,
    /// The resource that the caller hears of.
    pub subject: String,
}

/// One value, and the revision that it replaces; `None`: there is none yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Write {
    /// The new value, in full.
    pub value: Value,
    /// What it replaces.
    pub replaces: Option<Revision>,
}

impl Plan {
    /// The values with what the HSM told of the new material filled in, in the order in which it
    /// was made.
    #[must_use]
    pub fn values(&self, learned: &[Learned]) -> Vec<Value> {
        let made = self.act.makes();
        let fill = |value: &Value| {
            let mut value = value.clone();
            if let Value::Version(version) = &mut value
                && let Some(at) = made.iter().position(|id| *id == version.id)
            {
                version.learned = learned.get(at).cloned();
            }
            value
        };
        self.writes.iter().map(|w| fill(&w.value)).collect()
    }
}

/// What plans need beside the change.
#[derive(Debug, Clone, Copy)]
pub struct Ground<'a> {
    /// All resources, as of now.
    pub view: &'a View,
    /// Who asks.
    pub caller: &'a Caller,
    /// Now.
    pub now: Time,
    /// The second clock.
    pub steady: Steady,
    /// How versions were used.
    pub uses: &'a dyn Uses,
    /// The HSM's name of a key yet to be made: the one that was decided on.
    pub fresh: KeyUid,
    /// The proposal that carries this change.
    pub carried: Option<&'a ProposalName>,
}

impl<'a> Ground<'a> {
    /// Who asks: the person or service, whichever of their certificates they came with, or the
    /// service itself.
    fn who(&self) -> Result<Principal> {
        match self.caller {
            Caller::Peer(peer) => Ok(self.view.who(&peer.identity().principal).clone()),
            Caller::Scheduler => Principal::scheduler(),
            Caller::Founder | Caller::Recovery => {
                Err(Error::internal("nobody asked for this change"))
            }
        }
    }

    /// What can be due.
    #[must_use]
    pub fn outlook(&self) -> Outlook<'a> {
        Outlook {
            view: self.view,
            now: self.now,
            steady: self.steady,
            uses: self.uses,
        }
    }

    /// When, by whom, why.
    fn moved(&self, reason: &str) -> Moved {
        Moved {
            time: self.now,
            actor: self.caller.to_string(),
            reason: reason.to_owned(),
        }
    }
}

/// The plan of a change that `decide` permits.
///
/// # Errors
/// `Conflict` when something exists already or changed since the caller looked; `NotFound` when
/// something that it builds on is missing; `Invalid` or `State` when it cannot be.
pub fn plan(ground: Ground<'_>, change: &Change) -> Result<Plan> {
    // Nobody destroys before its day, whatever a policy says.
    let destroys = matches!(change.action(), Action::DestroyVersion | Action::EraseSpace);
    if destroys || *ground.caller == Caller::Scheduler {
        ground.outlook().demand(change)?;
    }
    match change {
        Change::Found(value) => found(ground, value),
        Change::Rebuild(found) => rebuild::record(ground, found),
        Change::FoundKey { name, class } => {
            let key = new_key(
                ground,
                name,
                *class,
                String::new(),
                Origin::Generated,
                false,
            );
            first_version(ground, key, vec![])
        }
        Change::CreateSpace {
            name,
            title,
            kind,
            lifecycle,
        } => space::create(ground, name, (title, *kind), *lifecycle),
        Change::UpdateSpace {
            name,
            etag,
            title,
            lifecycle,
        } => space::update(ground, (name, *etag), title.as_ref(), *lifecycle),
        Change::ArchiveSpace { name, etag, reason } => {
            space::archive(ground, (name, *etag), reason)
        }
        Change::DecommissionSpace { name, etag, reason } => {
            space::decommission(ground, (name, *etag), reason)
        }
        Change::KeepSpace { name, etag, .. } => space::keep(ground, (name, *etag)),
        Change::EraseSpace { name, reason } => space::erase(ground, name, reason),
        Change::ScheduleDestruction {
            name,
            etag,
            waiting,
            force,
            reason,
        } => destruction::schedule(ground, (name, *etag), (*waiting, *force), reason),
        Change::CancelDestruction { name, etag, reason } => {
            destruction::cancel(ground, (name, *etag), reason)
        }
        Change::StartRewrap {
            name,
            etag,
            versions,
            lasting,
            reason,
        } => rewrap::start(ground, (name, *etag), versions, *lasting, reason),
        Change::FinishRewrap { name, etag, .. } => rewrap::finish(ground, (name, *etag)),
        Change::StartRenewal { .. } => renewal::start(ground, change),
        Change::VerifyRenewal {
            name,
            etag,
            rows,
            sampled,
        } => renewal::verify(ground, (name, *etag), (*rows, *sampled)),
        Change::Cutover { name, etag, reason } => renewal::cutover(ground, (name, *etag), reason),
        Change::FinishRenewal {
            name,
            etag,
            abandon,
            reason,
        } => renewal::finish(ground, (name, *etag), *abandon, reason),
        Change::CreateDomain {
            name,
            title,
            source,
        } => edge::create_domain(ground, name, title, source.as_ref()),
        Change::CreateEdge { .. } => create_edge(ground, change),
        Change::CreateKey { .. } => create_key(ground, change),
        Change::UpdateKey { .. } => key::update_key(ground, change),
        Change::RotateKey {
            name,
            etag,
            reason,
            pre_active,
        } => rotate(ground, (name, *etag), reason, *pre_active),
        Change::MoveVersion {
            name,
            etag,
            transition,
            reason,
            keep_processing,
        } => move_version(ground, name, *etag, *transition, reason, *keep_processing),
        Change::ImportKey {
            name,
            etag,
            token,
            wrapped,
            reason,
        } => import(ground, (name, *etag), (token, wrapped), reason),
        Change::Approve {
            proposal,
            scheme,
            signature,
            reason,
        } => proposal::approve(ground, proposal, (*scheme, signature), reason),
        Change::Reject { proposal, reason } => {
            proposal::end(ground, proposal, ProposalState::Rejected, reason)
        }
        Change::Withdraw { proposal, reason } => {
            proposal::end(ground, proposal, ProposalState::Withdrawn, reason)
        }
        Change::PutPolicy {
            etag,
            schema,
            policy,
            ..
        } => rules::put_policy(ground, *etag, schema.as_ref(), policy.as_ref()),
        Change::PutBindings { bindings, .. } => rules::put_bindings(ground, bindings),
        Change::PutQuota {
            name,
            etag,
            limits,
            reason,
        } => quota::put(ground, name, *etag, limits, reason),
        Change::DeclareBackup {
            title,
            taken,
            expires,
        } => backup::declare(ground, title, (*taken, *expires)),
        Change::CreateDestination {
            name,
            title,
            public_key,
        } => export::declare(ground, name, title, public_key),
        Change::ExportKey {
            name,
            etag,
            destination,
            mechanism,
            reason,
        } => export::export(ground, (name, *etag), destination, *mechanism, reason),
        Change::ChainPerson {
            edge,
            commitment,
            reason,
        } => chain::allow(ground, edge, commitment, reason),
        Change::DeclareEmergency { minutes, reason } => {
            emergency::declare(ground, *minutes, reason)
        }
        Change::EndEmergency { name, reason } => emergency::end(ground, name, reason),
        Change::ReviewEmergency { name, findings } => emergency::review(ground, name, findings),
    }
}

fn found(ground: Ground<'_>, value: &Value) -> Result<Plan> {
    let before = ground.view.get(&value.name()).map(|s| s.revision);
    Ok(written(vec![Write {
        value: value.clone(),
        replaces: before,
    }]))
}

fn new(value: Value) -> Write {
    Write {
        value,
        replaces: None,
    }
}

fn over(value: Value, replaces: Revision) -> Write {
    Write {
        value,
        replaces: Some(replaces),
    }
}

/// Writes without an act; the caller hears of the first.
fn written(writes: Vec<Write>) -> Plan {
    let subject = writes.first().map(|w| w.value.name()).unwrap_or_default();
    Plan {
        act: Act::Nothing,
        writes,
        subject,
    }
}

fn absent(view: &View, name: &str) -> Result<()> {
    match view.get(name) {
        None => Ok(()),
        Some(_) => Err(Error::conflict(format!(
            "{name} exists already; names are never used again"
        ))),
    }
}

fn existing<'a>(
    view: &'a View,
    name: &KeyName,
    etag: Option<Revision>,
) -> Result<(&'a Key, Revision)> {
    let (key, revision) = view.key(name).ok_or_else(|| Error::not_found(name))?;
    unchanged(etag, revision, name)?;
    Ok((key, revision))
}

fn unchanged(
    etag: Option<Revision>,
    revision: Revision,
    name: &impl std::fmt::Display,
) -> Result<()> {
    match etag {
        Some(seen) if seen != revision => Err(Error::conflict(format!(
            "{name} changed since you read it; read it again"
        ))),
        Some(_) | None => Ok(()),
    }
}

//! The judgement: may this caller do this, now?

mod asker;
mod reach;
mod target;

pub use reach::import_token_key;

use crate::action::Action;
use crate::caller::Caller;
use crate::command::Command;
use crate::deployment::Environment;
use crate::error::{Error, Result};
use crate::id::KeyUid;
use crate::name::SpaceName;
use crate::permit::Permit;
use crate::policy::{Policy, Target};
use crate::view::View;
use asker::Asker;
use reach::versions;
use target::kind_of;

/// What `decide` judges by.
#[derive(Debug, Clone, Copy)]
pub struct Bench<'a> {
    /// The policy; `None` only before `init` has made one.
    pub policy: Option<&'a Policy>,
    /// All resources, as of now.
    pub view: &'a View,
    /// The HSM's name of a key yet to be made: 16 random bytes.
    pub fresh: KeyUid,
}

/// Whether this caller may do this, now. A permit is proof; everything else is an error that says
/// what the caller should do.
///
/// # Errors
/// `Refused` when the policy does not allow it, or when it needs approvals; `NotFound` when there
/// is no such thing and the caller may know; `State` when the key is in no state for it;
/// `Invalid` when the key is not of a class for it.
pub fn decide(bench: Bench<'_>, caller: &Caller, command: &Command) -> Result<Permit> {
    let action = command.action();
    let identity = match caller {
        Caller::Peer { identity, .. } => identity,
        Caller::Founder => return found(bench, command),
        Caller::Recovery => return Err(Error::internal("recovery asks for nothing")),
    };
    let deployment = bench.view.founded()?;
    if identity.trust_domain != deployment.trust_domain {
        return Err(Error::refused(
            "your certificate belongs to another trust domain",
        ));
    }
    let asker = Asker {
        bench,
        deployment,
        caller,
        binding: bench.view.binding(&identity.principal),
    };
    let policies = asker.permitted(command)?;
    if action.approvals() > 0 && deployment.environment == Environment::Production {
        return Err(Error::refused(format!(
            "{action} needs {} approval(s) by key-custodians beside you, and this version of the \
             service cannot collect them yet; nothing was done",
            action.approvals()
        )));
    }
    let ids = versions(bench, command)?;
    Ok(Permit::asked(action, ids, bench.view.revision(), policies))
}

/// What `init` may do: everything, as long as there is no deployment.
fn found(bench: Bench<'_>, command: &Command) -> Result<Permit> {
    let founding = command.action() == Action::Initialise;
    if !founding || bench.view.deployment().is_some() {
        return Err(Error::refused(
            "this deployment is made already; `init` can only make a new one",
        ));
    }
    let ids = versions(bench, command)?;
    Ok(Permit::asked(
        Action::Initialise,
        ids,
        bench.view.revision(),
        vec!["founder".into()],
    ))
}

/// Whether this caller may see this part of the inventory, or these records.
#[must_use]
pub fn sees(bench: Bench<'_>, caller: &Caller, action: Action, space: Option<&SpaceName>) -> bool {
    let (Some(principal), Some(deployment)) = (caller.principal(), bench.view.deployment()) else {
        return false;
    };
    let asker = Asker {
        bench,
        deployment,
        caller,
        binding: bench.view.binding(principal),
    };
    let target = match space {
        None => Target::Deployment,
        Some(space) => Target::Space(space, kind_of(bench.view, space)),
    };
    asker.asks(action, target).is_some()
}

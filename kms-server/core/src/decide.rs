//! The judgement: may this caller do this, now?

use crate::action::Action;
use crate::binding::Binding;
use crate::caller::Caller;
use crate::class::Class;
use crate::command::{Change, Command, Named, Read, Use};
use crate::deployment::{Deployment, Environment};
use crate::error::{Error, Result};
use crate::id::{KeyId, KeyUid};
use crate::key::{Key, Origin, Version};
use crate::name::{IMPORT_TOKEN_KEY, KeyName, SpaceName};
use crate::permit::Permit;
use crate::policy::{Policy, Question, Target};
use crate::space::SpaceKind;
use crate::state;
use crate::view::View;

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

/// Someone who asks, and what we know of them.
struct Asker<'a> {
    bench: Bench<'a>,
    deployment: &'a Deployment,
    caller: &'a Caller,
    binding: Option<&'a Binding>,
}

impl Asker<'_> {
    /// The policies that allow this command.
    fn permitted(&self, command: &Command) -> Result<Vec<String>> {
        let action = command.action();
        if action == Action::Initialise {
            return Err(Error::refused("only `kms-server init` makes a deployment"));
        }
        if let Command::Read(read) = command {
            match read {
                // What a list or a page of records shows is filtered, entry by entry.
                Read::List { space: None, .. } | Read::Entries { .. } | Read::Logs => {
                    let bound = self.binding.is_some_and(|b| !b.grants().is_empty());
                    return if bound {
                        Ok(vec![])
                    } else {
                        Err(self.refusal(command, false))
                    };
                }
                // Whoever sees any part of the inventory sees which identifier domains there are.
                Read::Resource(Named::Domain(_)) => {
                    let sees = self.bench.view.spaces().any(|space| {
                        let target = Target::Space(&space.name, space.kind);
                        self.asks(Action::ReadInventory, target).is_some()
                    });
                    return if sees {
                        Ok(vec![])
                    } else {
                        Err(self.refusal(command, false))
                    };
                }
                Read::Resource(_) | Read::List { .. } | Read::Deployment | Read::Hsm => {}
            }
        }
        let target = target(self.bench.view, command);
        match self.asks(action, target) {
            Some(policies) => Ok(policies),
            None => {
                let may_list = self.asks(Action::ReadInventory, target).is_some();
                Err(self.refusal(command, may_list))
            }
        }
    }

    fn asks(&self, action: Action, target: Target<'_>) -> Option<Vec<String>> {
        let question = Question {
            principal: self.caller.principal()?,
            binding: self.binding,
            action,
            target,
            environment: self.deployment.environment,
        };
        // A question that cannot be put is answered with no: an action that does not apply to a
        // sort of resource is one.
        self.bench.policy?.allows(&question).ok().flatten()
    }

    fn refusal(&self, command: &Command, may_list: bool) -> Error {
        let action = command.action();
        let (sort, name) = command.resource();
        let roles: Vec<String> = self
            .binding
            .into_iter()
            .flat_map(Binding::grants)
            .map(ToString::to_string)
            .collect();
        if roles.is_empty() {
            Error::refused(
                "you have no role in this deployment; ask an hsm-officer to bind you to one",
            )
        } else if may_list {
            let roles = roles.join("; ");
            Error::refused(format!(
                "none of your roles ({roles}) allows {action} on {sort} {name}"
            ))
        } else {
            Error::refused(format!(
                "your roles do not allow {action} on {sort} {name}, or there is no such {sort}"
            ))
        }
    }
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

fn kind_of(view: &View, space: &SpaceName) -> SpaceKind {
    view.space(space)
        .map_or(SpaceKind::Project, |(space, _)| space.kind)
}

/// What the policy is asked about. For a key that is not there: a key of the class that the action
/// is for, so that whoever may use every such key of a space learns that this one is missing, and
/// nobody else does.
fn target<'a>(view: &View, command: &'a Command) -> Target<'a> {
    let space = |name: &'a SpaceName| Target::Space(name, kind_of(view, name));
    let key = |name: &'a KeyName, action: Action| {
        let expected = Class::OFFERED
            .into_iter()
            .find(|c| c.uses().contains(&action));
        let class = view.key(name).map(|(key, _)| key.class);
        Target::Key(name, class.or(expected).unwrap_or(Class::DataAtRest))
    };
    let action = command.action();
    match command {
        Command::Change(change) => match change {
            Change::Found(_) | Change::FoundKey { .. } => Target::Deployment,
            Change::CreateSpace { name, kind, .. } => Target::Space(name, *kind),
            Change::CreateDomain { name, .. } => Target::Domain(name),
            Change::CreateEdge { name, .. } => Target::Edge(name),
            Change::CreateKey { name, class, .. } => Target::Key(name, *class),
            Change::ImportKey { name, .. } => Target::Key(name, Class::DataAtRest),
            Change::UpdateKey { name, .. } | Change::RotateKey { name, .. } => key(name, action),
            Change::MoveVersion { name, .. } => key(name.key(), action),
        },
        Command::Use(usage) => match usage {
            Use::Encrypt { key: name, .. }
            | Use::Decrypt { key: name, .. }
            | Use::ReEncrypt { key: name, .. }
            | Use::GenerateDataKey { key: name, .. } => key(name, action),
            Use::GetImportParameters { key: name, .. } => Target::Key(name, Class::DataAtRest),
            Use::Pseudonymise { edge, .. } => Target::Edge(edge),
            Use::GenerateRandom { .. } => Target::Deployment,
        },
        Command::Read(read) => match read {
            Read::Resource(Named::Space(name)) => space(name),
            Read::Resource(Named::Domain(name)) => Target::Domain(name),
            Read::Resource(Named::Edge(name)) => Target::Edge(name),
            Read::Resource(Named::Key(name)) => key(name, action),
            Read::Resource(Named::Version(name)) => key(name.key(), action),
            Read::List {
                key: Some(name), ..
            } => key(name, action),
            Read::List {
                space: Some(name), ..
            } => space(name),
            Read::List { .. }
            | Read::Deployment
            | Read::Hsm
            | Read::Logs
            | Read::Entries { .. } => Target::Deployment,
        },
    }
}

/// The versions that the command reaches in the HSM, all of them in a state for it.
fn versions(bench: Bench<'_>, command: &Command) -> Result<Vec<KeyId>> {
    let view = bench.view;
    let fresh = KeyId {
        uid: bench.fresh,
        version: 1,
    };
    match command {
        Command::Read(_) => Ok(vec![]),
        Command::Change(change) => match change {
            Change::Found(_)
            | Change::CreateSpace { .. }
            | Change::CreateDomain { .. }
            | Change::UpdateKey { .. }
            | Change::CreateKey {
                origin: Origin::External,
                ..
            } => Ok(vec![]),
            Change::FoundKey { .. } | Change::CreateEdge { .. } | Change::CreateKey { .. } => {
                Ok(vec![fresh])
            }
            Change::RotateKey { name, .. } => Ok(vec![next(key(view, name)?)]),
            Change::MoveVersion {
                name, transition, ..
            } => {
                let (version, _) = view.version(name).ok_or_else(|| Error::not_found(name))?;
                if transition.moves_from(version.state) {
                    Ok(vec![version.id])
                } else {
                    let sentence = format!(
                        "{name} is {}; {transition} does not apply to it",
                        version.state
                    );
                    Err(Error::state(sentence))
                }
            }
            Change::ImportKey { name, token, .. } => {
                let target = key(view, name)?;
                let (wrapping, _) = view
                    .version(&token.wrapping)
                    .ok_or_else(|| Error::not_found(&token.wrapping))?;
                usable(wrapping, Action::ImportKey, state::Use::Process)?;
                Ok(vec![next(target), wrapping.id, import_token_key(view)?.id])
            }
        },
        Command::Use(usage) => match usage {
            Use::GenerateRandom { .. } => Ok(vec![]),
            Use::Encrypt { key: name, .. } | Use::GenerateDataKey { key: name, .. } => {
                Ok(vec![protecting(view, name, usage.action())?.id])
            }
            Use::Decrypt { key: name, .. } => processing(view, name, usage.action()),
            Use::ReEncrypt { key: name, .. } => {
                let mut ids = processing(view, name, usage.action())?;
                let primary = protecting(view, name, usage.action())?.id;
                if !ids.contains(&primary) {
                    ids.push(primary);
                }
                Ok(ids)
            }
            Use::Pseudonymise { edge: name, .. } => {
                let (edge, _) = view.edge(name).ok_or_else(|| Error::not_found(name))?;
                Ok(vec![protecting(view, &edge.key, usage.action())?.id])
            }
            Use::GetImportParameters {
                key: name,
                wrapping,
                ..
            } => {
                let target = key(view, name)?;
                if target.origin != Origin::External {
                    let sentence = format!(
                        "{name} was declared with generated material; only a key of origin external takes imports"
                    );
                    return Err(Error::invalid("name", sentence));
                }
                if target.name.space() != wrapping.space() {
                    let sentence =
                        "a key is imported through an import-wrapping key of its own space";
                    return Err(Error::invalid("wrapping_key", sentence));
                }
                let wrapping = protecting(view, wrapping, usage.action())?;
                Ok(vec![wrapping.id, import_token_key(view)?.id])
            }
        },
    }
}

fn key<'a>(view: &'a View, name: &KeyName) -> Result<&'a Key> {
    view.key(name)
        .map(|(key, _)| key)
        .ok_or_else(|| Error::not_found(name))
}

fn next(key: &Key) -> KeyId {
    KeyId {
        uid: key.uid,
        version: key.latest.saturating_add(1),
    }
}

/// A key of a class that this action is for.
fn classed<'a>(view: &'a View, name: &KeyName, action: Action) -> Result<&'a Key> {
    let key = key(view, name)?;
    if key.class.uses().contains(&action) {
        Ok(key)
    } else {
        let sentence = format!(
            "{name} is a key of class {}; {action} is not a use of it",
            key.class
        );
        Err(Error::invalid("name", sentence))
    }
}

/// The primary version, in a state to protect.
fn protecting<'a>(view: &'a View, name: &KeyName, action: Action) -> Result<&'a Version> {
    let key = classed(view, name, action)?;
    let primary = view.primary(key).ok_or_else(|| {
        let advice = match key.origin {
            Origin::Generated => "rotate it to make one",
            Origin::External => "import one",
        };
        Error::state(format!("{name} has no version that protects; {advice}"))
    })?;
    usable(primary, action, state::Use::Protect)?;
    Ok(primary)
}

/// Every version in a state to process.
fn processing(view: &View, name: &KeyName, action: Action) -> Result<Vec<KeyId>> {
    let key = classed(view, name, action)?;
    let versions = view.versions(&key.name);
    let fit = versions
        .iter()
        .filter(|v| v.state.allows(state::Use::Process, v.suspended_processing))
        .map(|v| v.id)
        .collect();
    Ok(fit)
}

fn usable(version: &Version, action: Action, usage: state::Use) -> Result<()> {
    if version.state.allows(usage, version.suspended_processing) {
        Ok(())
    } else {
        let advice = match version.state {
            state::State::Suspended => "resume it, or rotate the key",
            state::State::PreActive => "activate it",
            state::State::Active
            | state::State::Deactivated
            | state::State::Compromised
            | state::State::Destroyed => "rotate the key",
        };
        let sentence = format!(
            "{} is {}, which does not allow {action}; {advice}",
            version.name, version.state
        );
        Err(Error::state(sentence))
    }
}

/// The deployment's own key that authenticates import tokens.
///
/// # Errors
/// `Internal` when `init` did not make it.
pub fn import_token_key(view: &View) -> Result<&Version> {
    let name: KeyName = IMPORT_TOKEN_KEY.parse()?;
    let (key, _) = view
        .key(&name)
        .ok_or_else(|| Error::internal("no import-token key"))?;
    view.primary(key)
        .ok_or_else(|| Error::internal("the import-token key has no primary version"))
}

//! Which versions a command reaches in the HSM, and whether their state and class allow it.

use super::Bench;
use super::own::{attestation_key, digest_key, import_parameters_key, import_token_key};
use crate::action::Action;
use crate::command::{Change, Command, Use};
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::id::KeyId;
use crate::key::{Key, Origin, Version};
use crate::name::{EdgeName, KeyName, SpaceName};
use crate::renewal;
use crate::state;
use crate::view::View;

/// The versions that the command reaches in the HSM, all of them in a state for it.
pub(super) fn versions(bench: Bench<'_>, command: &Command) -> Result<Vec<KeyId>> {
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
            | Change::UpdateSpace { .. }
            | Change::ArchiveSpace { .. }
            | Change::DecommissionSpace { .. }
            | Change::KeepSpace { .. }
            | Change::ScheduleDestruction { .. }
            | Change::CancelDestruction { .. }
            | Change::StartRewrap { .. }
            | Change::FinishRewrap { .. }
            | Change::VerifyRenewal { .. }
            | Change::Cutover { .. }
            | Change::CreateDomain { .. }
            | Change::UpdateKey { .. }
            | Change::Approve { .. }
            | Change::Reject { .. }
            | Change::Withdraw { .. }
            | Change::PutPolicy { .. }
            | Change::PutBindings { .. }
            | Change::PutQuota { .. }
            | Change::DeclareBackup { .. }
            | Change::CreateDestination { .. }
            | Change::ChainPerson { .. }
            | Change::DeclareEmergency { .. }
            | Change::EndEmergency { .. }
            | Change::ReviewEmergency { .. }
            | Change::CreateKey {
                origin: Origin::External,
                ..
            } => Ok(vec![]),
            Change::FoundKey { .. } | Change::CreateEdge { .. } | Change::CreateKey { .. } => {
                Ok(vec![fresh])
            }
            Change::Rebuild(found) => found.gone(view),
            Change::StartRenewal { name, .. } => {
                let own = edge_key(view, name)?;
                Ok(vec![view.next_id(own)?, fresh])
            }
            Change::FinishRenewal { name, .. } => {
                let gone = renewal::left_over(view, edge_key(view, name)?);
                Ok(gone.into_iter().map(|version| version.id).collect())
            }
            Change::RotateKey { name, .. } => Ok(vec![view.next_id(key(view, name)?)?]),
            Change::MoveVersion {
                name, transition, ..
            } => {
                let (version, _) = view.version(name).ok_or_else(|| Error::not_found(name))?;
                if transition.moves_from(version.state) {
                    let mut ids = vec![version.id];
                    // A compromised primary version gets its successor in the same change.
                    if *transition == Action::CompromiseVersion {
                        ids.push(view.next_id(key(view, name.key())?)?);
                    }
                    Ok(ids)
                } else {
                    let sentence = format!(
                        "{name} is {}; {transition} does not apply to it",
                        version.state
                    );
                    Err(Error::state(sentence))
                }
            }
            Change::EraseSpace { name, .. } => Ok(view
                .versions_in(name)
                .filter(|version| version.state.may_become(state::State::Destroyed))
                .map(|version| version.id)
                .collect()),
            Change::ExportKey { name, .. } => {
                let key = classed(view, name.key(), Action::ExportKey)?;
                let (version, _) = view.version(name).ok_or_else(|| Error::not_found(name))?;
                if !key.exportable {
                    let sentence = format!(
                        "{} was made as a key that never leaves its HSM, for ever; on another HSM a \
                         renewal gives its edge a new one",
                        key.name
                    );
                    return Err(Error::invalid("name", sentence));
                }
                usable(version, Action::ExportKey, state::Use::Process)?;
                Ok(vec![version.id])
            }
            Change::ImportKey { name, token, .. } => {
                let target = key(view, name)?;
                let (wrapping, _) = view
                    .version(&token.wrapping)
                    .ok_or_else(|| Error::not_found(&token.wrapping))?;
                usable(wrapping, Action::ImportKey, state::Use::Process)?;
                let mut ids = vec![
                    view.next_id(target)?,
                    wrapping.id,
                    import_token_key(view)?.id,
                ];
                ids.extend(digest_key(view)?.map(|key| key.id));
                Ok(ids)
            }
        },
        Command::Use(usage) => match usage {
            Use::GenerateRandom { .. } => Ok(vec![]),
            Use::Attest { subject } => {
                subject.gone(view)?;
                Ok(vec![attestation_key(view)?.id])
            }
            Use::Encrypt { key: name, .. } | Use::GenerateDataKey { key: name, .. } => {
                Ok(vec![protecting(view, name, usage.action())?.id])
            }
            Use::Decrypt { key: name, .. } => processing(bench, name, usage.action()),
            Use::ReEncrypt { key: name, .. } => {
                let mut ids = processing(bench, name, usage.action())?;
                let primary = protecting(view, name, usage.action())?.id;
                if !ids.contains(&primary) {
                    ids.push(primary);
                }
                Ok(ids)
            }
            Use::Pseudonymise { edge: name, .. } => {
                let own = edge_key(view, name)?;
                let primary = protecting(view, &own.name, usage.action())?;
                let mut ids = staged(view, primary)?;
                ids.extend(digest_key(view)?.map(|key| key.id));
                Ok(ids)
            }
            // What cannot be evaluated below has its own error, as an item of a batch has.
            Use::ChainPerson { edge: name, .. } => {
                let first = edge_key(view, name)?;
                let first = protecting(view, &first.name, usage.action())?;
                let mut ids = staged(view, first)?;
                for edge in Graph::of(view).below(name.target()) {
                    if let Ok(version) = protecting(view, &edge.key, usage.action()) {
                        ids.extend(staged(view, version)?);
                    }
                }
                Ok(ids)
            }
            Use::Translate { edge: name, .. } => translating(bench, name),
            Use::GetImportParameters {
                key: name,
                wrapping,
                mechanism,
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
                let holder = key(view, wrapping)?;
                holder.takes_in(target.class, mechanism.unwrap_or(holder.method()))?;
                let wrapping = protecting(view, wrapping, usage.action())?;
                Ok(vec![
                    wrapping.id,
                    import_token_key(view)?.id,
                    import_parameters_key(view)?.id,
                ])
            }
            Use::CheckImport {
                key: name, token, ..
            } => {
                let target = key(view, name)?;
                let by = &token.wrapping;
                let (wrapping, _) = view.version(by).ok_or_else(|| Error::not_found(by))?;
                usable(wrapping, usage.action(), state::Use::Process)?;
                Ok(vec![
                    view.next_id(target)?,
                    wrapping.id,
                    import_token_key(view)?.id,
                ])
            }
        },
    }
}

fn key<'a>(view: &'a View, name: &KeyName) -> Result<&'a Key> {
    view.key(name)
        .map(|(key, _)| key)
        .ok_or_else(|| Error::not_found(name))
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
    // Re-wrapping protects nothing that was not protected before.
    if action != Action::ReEncrypt {
        open(view, name.space())?;
    }
    let primary = view.primary(key).ok_or_else(|| {
        let advice = match key.origin {
            Origin::Generated if key.class.rotation_refusal().is_some() => {
                "start a renewal campaign (kms pseudonym renew start)"
            }
            Origin::Generated => "rotate it to make one",
            Origin::External => "import one",
        };
        Error::state(format!("{name} has no version that protects; {advice}"))
    })?;
    usable(primary, action, state::Use::Protect)?;
    Ok(primary)
}

/// Every version that may process: in a state for it, or in a re-wrap campaign.
fn processing(bench: Bench<'_>, name: &KeyName, action: Action) -> Result<Vec<KeyId>> {
    let key = classed(bench.view, name, action)?;
    let rewrap = key.rewrap.as_ref().filter(|_| action == Action::ReEncrypt);
    let rewrapped = |version: &Version| {
        version.state == state::State::Compromised
            && version.destruction.is_none()
            && rewrap.is_some_and(|r| r.covers(version.name.number(), bench.now))
    };
    let versions = bench.view.versions(&key.name);
    let fit = versions
        .iter()
        .filter(|v| v.allows(state::Use::Process) || rewrapped(v))
        // The HSM may have lost it: its destruction was begun.
        .filter(|v| !bench.view.is_burnt(&v.id))
        .map(|v| v.id)
        .collect();
    Ok(fit)
}

/// The key of an edge.
fn edge_key<'a>(view: &'a View, name: &EdgeName) -> Result<&'a Key> {
    let (edge, _) = view.edge(name).ok_or_else(|| Error::not_found(name))?;
    key(view, &edge.key)
}

/// A version with the stages that its pseudonyms are evaluated through. They do nothing of their own
/// any more, whatever their state is: that the version goes through them was approved.
fn staged(view: &View, version: &Version) -> Result<Vec<KeyId>> {
    let mut stages = renewal::stages(view, version);
    let lost = |stage: &&Version| {
        stage.state == state::State::Destroyed
            || stage.destruction.is_some()
            || view.is_burnt(&stage.id)
    };
    if let Some(lost) = stages.iter().find(|stage| lost(stage)) {
        return Err(Error::state(format!(
            "{} is {}: what is evaluated through it cannot be made any more",
            lost.name, lost.state
        )));
    }
    stages.sort_by_key(|stage| stage.id);
    Ok(stages.into_iter().map(|stage| stage.id).collect())
}

/// Both versions of a renewal campaign: the old one in whatever state it processes, or compromised;
/// the new one before the cutover and after it.
fn translating(bench: Bench<'_>, name: &EdgeName) -> Result<Vec<KeyId>> {
    let view = bench.view;
    let own = edge_key(view, name)?;
    let own = classed(view, &own.name, Action::Translate)?;
    let campaign = renewal::running(own)
        .ok_or_else(|| Error::state(format!("no renewal campaign of {name} runs")))?;
    if campaign.until <= bench.now {
        return Err(Error::state(format!(
            "translating along {name} ended on {}; finish the campaign, and start another one if it \
             was too short",
            campaign.until.date()
        )));
    }
    let version = |number| {
        let name = own.name.version(number);
        let found = view.version(&name).map(|(version, _)| version);
        found.ok_or_else(|| Error::not_found(&name))
    };
    let (old, new) = (version(campaign.predecessor)?, version(campaign.successor)?);
    let held = |version: &Version| {
        Error::state(format!(
            "{} is {}, which does not allow Translate",
            version.name, version.state
        ))
    };
    let harmed = old.state == state::State::Compromised && old.destruction.is_none();
    if !harmed && !old.allows(state::Use::Process) {
        return Err(held(old));
    }
    match new.state {
        state::State::PreActive | state::State::Active if new.destruction.is_none() => {}
        state::State::PreActive
        | state::State::Active
        | state::State::Suspended
        | state::State::Deactivated
        | state::State::Compromised
        | state::State::Destroyed => return Err(held(new)),
    }
    let mut ids = staged(view, old)?;
    ids.extend(staged(view, new)?);
    ids.extend(digest_key(view)?.map(|key| key.id));
    ids.sort();
    ids.dedup();
    Ok(ids)
}

/// Whether something new may be protected in this space.
fn open(view: &View, space: &SpaceName) -> Result<()> {
    match view
        .space(space)
        .and_then(|(space, _)| space.archived.as_ref())
    {
        Some(_) => Err(Error::state(format!(
            "{space} is archived: nothing new is protected there, what was protected still opens"
        ))),
        None => Ok(()),
    }
}

fn usable(version: &Version, action: Action, usage: state::Use) -> Result<()> {
    if version.allows(usage) {
        Ok(())
    } else if version.destruction.is_some() {
        Err(Error::state(format!(
            "{} will be destroyed and does nothing until then; whoever still needs it takes that \
             back (kms version keep)",
            version.name
        )))
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

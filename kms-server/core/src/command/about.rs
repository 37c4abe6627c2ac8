//! What a change is about: its action, its resource, whether the HSM is needed for it.

use super::Change;
use crate::action::Action;
use crate::error::{Error, Result};
use crate::key::Origin;
use crate::name::ProposalName;
use crate::state::State;
use crate::value::DocumentName;

impl Change {
    /// Its name in policy and audit.
    #[must_use]
    pub fn action(&self) -> Action {
        match self {
            Change::Found(_) | Change::FoundKey { .. } => Action::Initialise,
            Change::Rebuild(_) => Action::Rebuild,
            Change::CreateSpace { .. } => Action::CreateSpace,
            Change::UpdateSpace { .. } => Action::UpdateSpace,
            Change::ArchiveSpace { .. } => Action::ArchiveSpace,
            Change::DecommissionSpace { .. } => Action::DecommissionSpace,
            Change::EraseSpace { .. } => Action::EraseSpace,
            Change::CreateDomain { .. } => Action::CreateDomain,
            Change::CreateEdge { .. } => Action::CreateEdge,
            Change::CreateKey { .. } => Action::CreateKey,
            Change::UpdateKey { .. } => Action::UpdateKey,
            Change::RotateKey { .. } => Action::RotateKey,
            Change::MoveVersion { transition, .. } => *transition,
            Change::ScheduleDestruction { .. } => Action::ScheduleDestruction,
            Change::CancelDestruction { .. } | Change::KeepSpace { .. } => {
                Action::CancelDestruction
            }
            Change::StartRewrap { .. } => Action::StartRewrap,
            Change::FinishRewrap { .. } => Action::FinishRewrap,
            Change::StartRenewal { .. } => Action::StartRenewal,
            Change::VerifyRenewal { .. } => Action::VerifyRenewal,
            Change::Cutover { .. } => Action::Cutover,
            Change::FinishRenewal { .. } => Action::FinishRenewal,
            Change::ImportKey { .. } => Action::ImportKey,
            Change::Approve { .. } => Action::Approve,
            Change::Reject { .. } => Action::Reject,
            Change::Withdraw { .. } => Action::Withdraw,
            Change::PutPolicy { .. } => Action::PutPolicy,
            Change::PutBindings { .. } => Action::PutBindings,
            Change::PutQuota { .. } => Action::RaiseQuota,
            Change::DeclareBackup { .. } => Action::Backup,
            Change::CreateDestination { .. } => Action::MigrateToken,
            Change::ExportKey { .. } => Action::ExportKey,
            Change::ChainPerson { .. } => Action::ChainPerson,
            Change::DeclareEmergency { .. } => Action::DeclareEmergency,
            Change::EndEmergency { .. } => Action::EndEmergency,
            Change::ReviewEmergency { .. } => Action::ReviewEmergency,
        }
    }

    /// Whether the HSM makes or destroys a key for it.
    #[must_use]
    pub fn needs_hsm(&self) -> bool {
        match self {
            Change::MoveVersion { transition, .. } => match transition.destination() {
                Some(State::Compromised | State::Destroyed) => true,
                Some(State::PreActive | State::Active | State::Suspended | State::Deactivated)
                | None => false,
            },
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
            } => false,
            Change::FoundKey { .. }
            | Change::Rebuild(_)
            | Change::EraseSpace { .. }
            | Change::CreateEdge { .. }
            | Change::CreateKey { .. }
            | Change::RotateKey { .. }
            | Change::StartRenewal { .. }
            | Change::FinishRenewal { .. }
            | Change::ImportKey { .. }
            | Change::ExportKey { .. } => true,
        }
    }

    /// The proposal that it moves, if it moves one.
    #[must_use]
    pub fn proposal(&self) -> Option<&ProposalName> {
        match self {
            Change::Approve { proposal, .. }
            | Change::Reject { proposal, .. }
            | Change::Withdraw { proposal, .. } => Some(proposal),
            Change::Found(_)
            | Change::FoundKey { .. }
            | Change::Rebuild(_)
            | Change::CreateSpace { .. }
            | Change::UpdateSpace { .. }
            | Change::ArchiveSpace { .. }
            | Change::DecommissionSpace { .. }
            | Change::KeepSpace { .. }
            | Change::EraseSpace { .. }
            | Change::CreateDomain { .. }
            | Change::CreateEdge { .. }
            | Change::CreateKey { .. }
            | Change::UpdateKey { .. }
            | Change::RotateKey { .. }
            | Change::MoveVersion { .. }
            | Change::ScheduleDestruction { .. }
            | Change::CancelDestruction { .. }
            | Change::StartRewrap { .. }
            | Change::FinishRewrap { .. }
            | Change::StartRenewal { .. }
            | Change::VerifyRenewal { .. }
            | Change::Cutover { .. }
            | Change::FinishRenewal { .. }
            | Change::ImportKey { .. }
            | Change::PutPolicy { .. }
            | Change::PutBindings { .. }
            | Change::PutQuota { .. }
            | Change::DeclareBackup { .. }
            | Change::CreateDestination { .. }
            | Change::ExportKey { .. }
            | Change::ChainPerson { .. }
            | Change::DeclareEmergency { .. }
            | Change::EndEmergency { .. }
            | Change::ReviewEmergency { .. } => None,
        }
    }

    /// The command as it waits in a proposal.
    ///
    /// # Errors
    /// `Internal` when it has no JSON form.
    pub fn text(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|e| Error::internal(format!("a command: {e}")))
    }

    /// The resource that it is about.
    #[must_use]
    pub fn resource(&self) -> (&'static str, String) {
        match self {
            Change::Found(value) => (value.sort(), value.name()),
            Change::Rebuild(found) => ("rebuild", found.name.to_string()),
            Change::FoundKey { name, .. }
            | Change::CreateKey { name, .. }
            | Change::UpdateKey { name, .. }
            | Change::RotateKey { name, .. }
            | Change::StartRewrap { name, .. }
            | Change::FinishRewrap { name, .. }
            | Change::ImportKey { name, .. } => ("key", name.to_string()),
            Change::CreateSpace { name, .. }
            | Change::UpdateSpace { name, .. }
            | Change::ArchiveSpace { name, .. }
            | Change::DecommissionSpace { name, .. }
            | Change::KeepSpace { name, .. }
            | Change::EraseSpace { name, .. } => ("space", name.to_string()),
            Change::CreateDomain { name, .. } => ("domain", name.to_string()),
            Change::CreateEdge { name, .. }
            | Change::ChainPerson { edge: name, .. }
            | Change::StartRenewal { name, .. }
            | Change::VerifyRenewal { name, .. }
            | Change::Cutover { name, .. }
            | Change::FinishRenewal { name, .. } => ("edge", name.to_string()),
            Change::MoveVersion { name, .. }
            | Change::ScheduleDestruction { name, .. }
            | Change::CancelDestruction { name, .. }
            | Change::ExportKey { name, .. } => ("version", name.to_string()),
            Change::CreateDestination { name, .. } => ("destination", name.to_string()),
            Change::Approve { proposal, .. }
            | Change::Reject { proposal, .. }
            | Change::Withdraw { proposal, .. } => ("proposal", proposal.to_string()),
            Change::PutPolicy { .. } => ("document", DocumentName::Policy.key().into()),
            Change::PutBindings { bindings, .. } => match bindings.as_slice() {
                [one] => ("binding", format!("bindings/{}", one.principal())),
                _ => ("deployment", crate::value::DEPLOYMENT.into()),
            },
            Change::PutQuota { name, .. } => ("quota", name.to_string()),
            Change::DeclareBackup { .. } | Change::DeclareEmergency { .. } => {
                ("deployment", crate::value::DEPLOYMENT.into())
            }
            Change::EndEmergency { name, .. } | Change::ReviewEmergency { name, .. } => {
                ("emergency", name.to_string())
            }
        }
    }
}

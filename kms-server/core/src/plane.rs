//! The two sides of the service: what a listener is for.

use crate::action::Action;
use std::fmt;

/// What a listener is for (requirement F-003: separate segments).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Plane {
    /// Services use keys.
    Data,
    /// People manage keys, policy and the HSM.
    Administration,
}

impl Plane {
    /// Both of them.
    pub const ALL: [Plane; 2] = [Plane::Data, Plane::Administration];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Plane::Data => "data",
            Plane::Administration => "administration",
        }
    }

    /// Where this action may be asked.
    #[must_use]
    pub fn of(action: Action) -> &'static [Plane] {
        const DATA: &[Plane] = &[Plane::Data];
        const ADMINISTRATION: &[Plane] = &[Plane::Administration];
        const BOTH: &[Plane] = &Plane::ALL;
        match action {
            Action::Encrypt
            | Action::GenerateDataKey
            | Action::GenerateDataKeyWithoutPlaintext
            | Action::Decrypt
            | Action::Pseudonymise
            | Action::Translate
            | Action::GenerateRandom => DATA,
            // An operator re-wraps as well as the service whose data it is; a supplier's service
            // imports, and sees whether its proposal went through.
            Action::ReEncrypt
            | Action::GetImportParameters
            | Action::CheckImport
            | Action::ImportKey
            | Action::VerifyRenewal
            | Action::Propose
            | Action::Withdraw
            | Action::ReadInventory
            | Action::ReadDeployment => BOTH,
            Action::Initialise
            | Action::CreateSpace
            | Action::UpdateSpace
            | Action::CreateDomain
            | Action::CreateEdge
            | Action::ArchiveSpace
            | Action::DecommissionSpace
            | Action::EraseSpace
            | Action::CreateKey
            | Action::UpdateKey
            | Action::RotateKey
            | Action::ActivateVersion
            | Action::DeactivateVersion
            | Action::ResumeVersion
            | Action::SuspendVersion
            | Action::CompromiseVersion
            | Action::ScheduleDestruction
            | Action::CancelDestruction
            | Action::DestroyVersion
            | Action::StartRewrap
            | Action::FinishRewrap
            | Action::Attest
            | Action::StartRenewal
            | Action::Cutover
            | Action::FinishRenewal
            | Action::ChainPerson
            | Action::ExportKey
            | Action::MigrateToken
            | Action::Approve
            | Action::Reject
            | Action::PutPolicy
            | Action::PutBindings
            | Action::RaiseQuota
            | Action::DeclareEmergency
            | Action::EndEmergency
            | Action::ReviewEmergency
            | Action::ReadAudit
            | Action::ReadPolicy
            | Action::PruneUses
            | Action::Backup
            | Action::Restore
            | Action::Rebuild
            | Action::ReadHsm
            | Action::ChangePin
            | Action::ResetPin => ADMINISTRATION,
        }
    }
}

impl fmt::Display for Plane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

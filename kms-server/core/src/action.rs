//! The one list of actions: for policy, records, calls and golden tables.

use crate::state::{State, Use};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What an action does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// Makes a space, a domain, an edge, a key or a version.
    Makes,
    /// Moves something from one state to another, or changes what is said of it.
    Moves,
    /// Uses a version to protect.
    Protects,
    /// Uses a version to process what was protected.
    Processes,
    /// Shows what is.
    Reads,
}

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident: $effect:ident + $approvals:literal,)*) => {
        /// Everything that can be asked.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Action {
            $($(#[$doc])* $name,)*
        }

        impl Action {
            /// Every action.
            pub const ALL: &'static [Action] = &[$(Action::$name,)*];

            /// Its name in policies and records.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Action::$name => stringify!($name),)* }
            }

            /// What it does.
            #[must_use]
            pub fn effect(self) -> Effect {
                match self { $(Action::$name => Effect::$effect,)* }
            }

            /// How many custodians must approve it beside the one who asks.
            #[must_use]
            pub fn approvals(self) -> u8 {
                match self { $(Action::$name => $approvals,)* }
            }
        }
    };
}

actions! {
    /// Makes a deployment: whoever holds the machine and the PIN, once, on an empty store.
    Initialise: Makes + 0,
    /// Declares a space.
    CreateSpace: Makes + 0,
    /// Changes what is said of a space.
    UpdateSpace: Moves + 0,
    /// Declares an identifier domain.
    CreateDomain: Makes + 0,
    /// Declares an edge and makes its key.
    CreateEdge: Makes + 1,
    /// Archives a space.
    ArchiveSpace: Moves + 0,
    /// Decommissions a space: sets the day on which its keys are erased.
    DecommissionSpace: Moves + 2,
    /// Destroys every key of a space whose day has come.
    EraseSpace: Moves + 1,
    /// Declares a key and makes its first version.
    CreateKey: Makes + 0,
    /// Changes what is said of a key.
    UpdateKey: Moves + 0,
    /// Makes a new version, which becomes primary.
    RotateKey: Makes + 0,
    /// pre-active to active.
    ActivateVersion: Moves + 0,
    /// active or suspended to deactivated.
    DeactivateVersion: Moves + 0,
    /// suspended to active.
    ResumeVersion: Moves + 0,
    /// active to suspended: stops the bleeding.
    SuspendVersion: Moves + 0,
    /// To compromised, for ever.
    CompromiseVersion: Moves + 1,
    /// Sets the day of destruction.
    ScheduleDestruction: Moves + 2,
    /// Takes the day of destruction back.
    CancelDestruction: Moves + 0,
    /// Destroys a version whose day has come.
    DestroyVersion: Moves + 1,
    /// Lets compromised versions process, for re-wrapping alone.
    StartRewrap: Moves + 1,
    /// Ends that.
    FinishRewrap: Moves + 0,
    /// Encrypts with a data-at-rest key.
    Encrypt: Protects + 0,
    /// Makes a data key and shows it, with its wrapped form.
    GenerateDataKey: Protects + 0,
    /// Makes a data key and shows only its wrapped form.
    GenerateDataKeyWithoutPlaintext: Protects + 0,
    /// Decrypts with a data-at-rest key.
    Decrypt: Processes + 0,
    /// Moves a ciphertext to the primary version, showing no plaintext.
    ReEncrypt: Processes + 0,
    /// Evaluates an edge.
    Pseudonymise: Protects + 0,
    /// Starts a renewal campaign.
    StartRenewal: Moves + 2,
    /// Records what was verified of a translation.
    VerifyRenewal: Moves + 0,
    /// Makes the successor primary.
    Cutover: Moves + 2,
    /// Ends a renewal campaign.
    FinishRenewal: Moves + 2,
    /// Old pseudonym to new, inside a renewal campaign.
    Translate: Processes + 0,
    /// One person along the declared edges.
    ChainPerson: Protects + 2,
    /// A public key to wrap with and its import token.
    GetImportParameters: Makes + 0,
    /// A dry run of an import.
    CheckImport: Makes + 0,
    /// Unwraps outside material inside the HSM.
    ImportKey: Makes + 1,
    /// Wraps exportable material for another HSM.
    ExportKey: Processes + 2,
    /// Moves the deployment to another token.
    MigrateToken: Moves + 2,
    /// Bytes of the HSM's generator.
    GenerateRandom: Reads + 0,
    /// Puts a command before the custodians.
    Propose: Moves + 0,
    /// Takes a proposal back.
    Withdraw: Moves + 0,
    /// Agrees to a proposal.
    Approve: Moves + 0,
    /// Turns a proposal down.
    Reject: Moves + 0,
    /// Changes the policy.
    PutPolicy: Moves + 2,
    /// Changes who has which role.
    PutBindings: Moves + 2,
    /// Sets how much a caller may ask of a key or an edge.
    RaiseQuota: Moves + 1,
    /// Breaks the glass: for a short time, what stops harm needs one approval less.
    DeclareEmergency: Moves + 1,
    /// Ends an emergency before its time.
    EndEmergency: Moves + 0,
    /// Says what an emergency was used for: until then nobody can declare another.
    ReviewEmergency: Moves + 0,
    /// Shows spaces, domains, edges, keys and versions.
    ReadInventory: Reads + 0,
    /// Shows the audit log.
    ReadAudit: Reads + 0,
    /// Shows policy and bindings, and who may do what by them.
    ReadPolicy: Reads + 0,
    /// Prunes the uses log.
    PruneUses: Moves + 2,
    /// Makes a backup.
    Backup: Moves + 1,
    /// Restores a backup.
    Restore: Moves + 2,
    /// Rebuilds a lost store from the changes log: whoever holds the machine and the PIN, while
    /// nothing is served.
    Rebuild: Moves + 0,
    /// Shows the HSM's state.
    ReadHsm: Reads + 0,
    /// Shows what this deployment is, and who the caller is in it.
    ReadDeployment: Reads + 0,
    /// Signs what can be said of something that was destroyed.
    Attest: Reads + 0,
    /// Changes one's own PIN.
    ChangePin: Moves + 0,
    /// Sets another's PIN.
    ResetPin: Moves + 2,
}

impl Action {
    /// Whether it is asked at the machine itself, by whoever holds it and the PIN, and never over a
    /// connection: no policy is asked.
    #[must_use]
    pub fn is_at_the_machine(self) -> bool {
        matches!(self, Action::Initialise | Action::Rebuild)
    }

    /// The state that this action moves a version to, if it moves one.
    #[must_use]
    pub fn destination(self) -> Option<State> {
        let transitions = [
            (Action::ActivateVersion, State::Active),
            (Action::ResumeVersion, State::Active),
            (Action::DeactivateVersion, State::Deactivated),
            (Action::SuspendVersion, State::Suspended),
            (Action::CompromiseVersion, State::Compromised),
            (Action::DestroyVersion, State::Destroyed),
        ];
        transitions
            .iter()
            .find(|(action, _)| *action == self)
            .map(|(_, state)| *state)
    }

    /// Whether this action, which moves versions, may be asked of a version in this state.
    /// *Activate* and *resume* both lead to active, from different states.
    #[must_use]
    pub fn moves_from(self, state: State) -> bool {
        let Some(to) = self.destination() else {
            return false;
        };
        let from_here = match (
            self == Action::ResumeVersion,
            self == Action::ActivateVersion,
        ) {
            (true, _) => state == State::Suspended,
            (_, true) => state == State::PreActive,
            (false, false) => true,
        };
        from_here && state.may_become(to)
    }

    /// How this action uses the version that it names or finds in a ciphertext.
    #[must_use]
    pub fn usage(self) -> Option<Use> {
        match self.effect() {
            Effect::Protects => Some(Use::Protect),
            Effect::Processes => Some(Use::Process),
            // Import parameters are given for a version that will unwrap: it must be able to
            // protect; the unwrapping itself only processes.
            Effect::Makes if self == Action::GetImportParameters => Some(Use::Protect),
            Effect::Makes if matches!(self, Action::CheckImport | Action::ImportKey) => {
                Some(Use::Process)
            }
            Effect::Makes | Effect::Moves | Effect::Reads => None,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

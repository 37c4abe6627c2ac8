//! What the policy is asked about.

use crate::action::Action;
use crate::attestation::Subject;
use crate::class::Class;
use crate::command::{Change, Command, Named, Read, Use};
use crate::name::{EdgeName, KeyName, SpaceName};
use crate::policy::{Target, Traits};
use crate::quota::Metered;
use crate::space::SpaceKind;
use crate::view::View;

/// What the policy is asked about. For a key that is not there: a key of the class that the action
/// is for, so that whoever may use every such key of a space learns that this one is missing, and
/// nobody else does.
pub(super) fn target<'a>(view: &'a View, command: &'a Command) -> Target<'a> {
    let space = |name: &'a SpaceName| Target::Space(name, kind_of(view, name));
    let traits = |name: &KeyName| Traits::named(view, name);
    let key = |name: &'a KeyName, action: Action| {
        let expected = Class::OFFERED
            .into_iter()
            .find(|c| c.uses().contains(&action));
        let class = view.key(name).map(|(key, _)| key.class);
        let class = class.or(expected).unwrap_or(Class::DataAtRest);
        Target::Key(name, class, traits(name))
    };
    // A key that receives material is of another class than the one that unwraps it.
    let received = |name: &'a KeyName| {
        let class = view.key(name).map(|(key, _)| key.class);
        Target::Key(name, class.unwrap_or(Class::DataAtRest), traits(name))
    };
    let edge = |name: &'a EdgeName| {
        let key = view.edge(name).map(|(edge, _)| &edge.key);
        Target::Edge(name, key.map(traits).unwrap_or_default())
    };
    let action = command.action();
    let metered = |on: &'a Metered| match on {
        Metered::Key(name) => key(name, action),
        Metered::Edge(name) => edge(name),
    };
    match command {
        Command::Change(change) => match change {
            Change::Found(_) | Change::FoundKey { .. } | Change::Rebuild(_) => Target::Deployment,
            Change::CreateSpace { name, kind, .. } => Target::Space(name, *kind),
            Change::UpdateSpace { name, .. }
            | Change::ArchiveSpace { name, .. }
            | Change::DecommissionSpace { name, .. }
            | Change::KeepSpace { name, .. }
            | Change::EraseSpace { name, .. } => space(name),
            Change::CreateDomain { name, .. } => Target::Domain(name),
            Change::CreateEdge { name, .. } => Target::Edge(name, Traits::default()),
            Change::StartRenewal { name, .. }
            | Change::ChainPerson { edge: name, .. }
            | Change::VerifyRenewal { name, .. }
            | Change::Cutover { name, .. }
            | Change::FinishRenewal { name, .. } => edge(name),
            Change::CreateKey {
                name, class, study, ..
            } => {
                let traits = Traits {
                    study: study.as_ref(),
                    ..Traits::default()
                };
                Target::Key(name, *class, traits)
            }
            Change::ImportKey { name, .. } => received(name),
            // A proposal is about what its command is about: the asker looks there.
            Change::Approve { .. }
            | Change::Reject { .. }
            | Change::Withdraw { .. }
            | Change::PutPolicy { .. }
            | Change::PutBindings { .. }
            | Change::DeclareBackup { .. }
            | Change::CreateDestination { .. }
            | Change::DeclareEmergency { .. }
            | Change::EndEmergency { .. }
            | Change::ReviewEmergency { .. } => Target::Deployment,
            Change::PutQuota { name, .. } => metered(name.on()),
            Change::UpdateKey { name, .. }
            | Change::RotateKey { name, .. }
            | Change::StartRewrap { name, .. }
            | Change::FinishRewrap { name, .. } => key(name, action),
            Change::MoveVersion { name, .. }
            | Change::ScheduleDestruction { name, .. }
            | Change::CancelDestruction { name, .. }
            | Change::ExportKey { name, .. } => key(name.key(), action),
        },
        Command::Use(usage) => match usage {
            Use::Encrypt { key: name, .. }
            | Use::Decrypt { key: name, .. }
            | Use::ReEncrypt { key: name, .. }
            | Use::GenerateDataKey { key: name, .. } => key(name, action),
            Use::GetImportParameters { key: name, .. } | Use::CheckImport { key: name, .. } => {
                received(name)
            }
            Use::Pseudonymise { edge: name, .. }
            | Use::ChainPerson { edge: name, .. }
            | Use::Translate { edge: name, .. } => edge(name),
            Use::Attest { subject } => match subject {
                Subject::Version(name) => key(name.key(), action),
                Subject::Space(name) => space(name),
            },
            Use::GenerateRandom { .. } => Target::Deployment,
        },
        Command::Read(read) => match read {
            Read::Resource(Named::Space(name)) => space(name),
            Read::Resource(Named::Domain(name)) => Target::Domain(name),
            Read::Resource(Named::Edge(name)) | Read::Renewal(name) => edge(name),
            Read::Resource(Named::Key(name)) => key(name, action),
            Read::Resource(Named::Version(name)) | Read::Usage(name) => key(name.key(), action),
            Read::Allowance { on, .. } => metered(on),
            Read::List {
                key: Some(name), ..
            } => key(name, action),
            Read::List {
                space: Some(name), ..
            } => space(name),
            Read::Report { space: Some(name) } => space(name),
            Read::List { .. }
            | Read::Due { .. }
            | Read::Report { space: None }
            | Read::Proposals { .. }
            | Read::Proposal(_)
            | Read::Emergencies
            | Read::Policy
            | Read::History
            | Read::Access(_)
            | Read::Backups
            | Read::Destinations
            | Read::Deployment
            | Read::Hsm
            | Read::Logs
            | Read::Entries { .. } => Target::Deployment,
        },
    }
}

pub(super) fn kind_of(view: &View, space: &SpaceName) -> SpaceKind {
    view.space(space)
        .map_or(SpaceKind::Project, |(space, _)| space.kind)
}

//! Which action a call asks for, by its name: for what must be known before its message is read.

use kms_core::action::Action;

/// The action of the call at this path, `/emc2.kms.v1.KeyService/RotateKey` for instance; none for
/// a call that is not of `emc2.kms.v1`.
#[must_use]
pub fn action_at(path: &str) -> Option<Action> {
    let (_service, call) = path.strip_prefix("/emc2.kms.v1.")?.split_once('/')?;
    action(call)
}

/// The action of a call: its own name, or what it shows.
fn action(call: &str) -> Option<Action> {
    let name = call.strip_prefix("Batch").unwrap_or(call);
    let shown = match name {
        "GetDeployment" => "ReadDeployment",
        "GetHsm" | "ListBackups" | "ListDestinations" => "ReadHsm",
        "CreateDestination" => "MigrateToken",
        "DeclareBackup" => "Backup",
        "GetAttestation" => "Attest",
        "GetLogs" | "ListEntries" => "ReadAudit",
        "GetSpace" | "GetDomain" | "GetEdge" | "GetKey" | "GetRenewal" | "GetVersion"
        | "GetVersionUsage" | "ListSpaces" | "ListDomains" | "ListEdges" | "ListKeys"
        | "ListVersions" | "ListProposals" | "GetProposal" | "WatchProposals" | "ListQuotas"
        | "GetAllowance" | "ListDue" | "ReportKeys" => "ReadInventory",
        "StreamPseudonymise" => "Pseudonymise",
        "StreamTranslate" => "Translate",
        "KeepSpace" => "CancelDestruction",
        "PutQuota" => "RaiseQuota",
        "GetPolicy" | "ListPolicyHistory" | "ExplainAccess" | "ReviewAccess"
        | "ListEmergencies" => "ReadPolicy",
        "StartChain" | "FollowChain" => "ChainPerson",
        "ApproveProposal" => "Approve",
        "RejectProposal" => "Reject",
        "WithdrawProposal" => "Withdraw",
        // The action is that of the command that waits.
        "ExecuteProposal" => "Propose",
        other => other,
    };
    Action::ALL.iter().copied().find(|a| a.name() == shown)
}

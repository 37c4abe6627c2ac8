//! What the interface promises, printed from what it does: which action each call asks for, and
//! which status each error becomes.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test says what it expects and fails loudly"
)]

use kms_core::action::Action;
use kms_core::error::{Error, Kind};
use kms_server::grpc::status::{code, status};
use prost_reflect::DescriptorPool;
use std::fmt::Write;
use tonic_types::StatusExt;

/// The action of a call: its own name, or what it shows.
fn action(call: &str) -> Option<Action> {
    let name = call.strip_prefix("Batch").unwrap_or(call);
    let shown = match name {
        "GetDeployment" => "ReadDeployment",
        "GetHsm" | "ListBackups" => "ReadHsm",
        "DeclareBackup" => "Backup",
        "GetAttestation" => "Attest",
        "GetLogs" | "ListEntries" => "ReadAudit",
        "GetSpace" | "GetDomain" | "GetEdge" | "GetKey" | "GetVersion" | "GetVersionUsage"
        | "ListSpaces" | "ListDomains" | "ListEdges" | "ListKeys" | "ListVersions"
        | "ListProposals" | "GetProposal" | "WatchProposals" | "ListQuotas" | "GetAllowance"
        | "ListDue" | "ReportKeys" => "ReadInventory",
        "KeepSpace" => "CancelDestruction",
        "PutQuota" => "RaiseQuota",
        "GetPolicy" | "ListPolicyHistory" | "ExplainAccess" | "ReviewAccess"
        | "ListEmergencies" => "ReadPolicy",
        "ApproveProposal" => "Approve",
        "RejectProposal" => "Reject",
        "WithdrawProposal" => "Withdraw",
        // The action is that of the command that waits.
        "ExecuteProposal" => "Propose",
        other => other,
    };
    Action::ALL.iter().copied().find(|a| a.name() == shown)
}

#[test]
fn every_call_asks_for_an_action() {
    let pool = DescriptorPool::decode(kms_proto::DESCRIPTORS).unwrap();
    let mut out = String::from("Service and call, the action that it asks for, approvals\n");
    let mut calls = 0;
    for service in pool.services() {
        writeln!(out, "\n{}", service.name()).unwrap();
        for method in service.methods() {
            let Some(action) = action(method.name()) else {
                panic!("{} asks for no action", method.full_name());
            };
            let approvals = match action.approvals() {
                0 => String::new(),
                more => format!(" +{more}"),
            };
            let line = format!("  {:<34} {action}{approvals}", method.name());
            writeln!(out, "{line}").unwrap();
            calls += 1;
        }
    }
    assert!(calls > 30, "the interface is not seen");
    insta::assert_snapshot!(out);
}

#[test]
fn every_error_has_its_status() {
    let mut out = format!(
        "{:<18} {:<22} {:<8} {:<8} {:<10} {}\n",
        "reason", "gRPC status", "retry", "field", "proposal", "incident"
    );
    for kind in Kind::ALL {
        let error = match kind {
            Kind::Invalid => Error::invalid("field", "a sentence"),
            Kind::Internal => Error::internal("only for us"),
            Kind::Pending => Error::pending("proposals/p", "a sentence"),
            Kind::Refused
            | Kind::NotFound
            | Kind::Conflict
            | Kind::State
            | Kind::Exhausted
            | Kind::Unavailable
            | Kind::Unknown => Error::new(kind, "a sentence"),
        };
        let status = status(&error);
        assert_eq!(status.code(), code(kind));
        let details = status.get_error_details();
        let reason = details.error_info().unwrap();
        assert!(!status.message().contains("only for us"), "{status:?}");
        assert!(!format!("{details:?}").contains("only for us"));
        let yes = |there: bool| if there { "yes" } else { "-" };
        writeln!(
            out,
            "{:<18} {:<22} {:<8} {:<8} {:<10} {}",
            reason.reason,
            format!("{} {:?}", i32::from(status.code()), status.code()),
            yes(details.retry_info().is_some()),
            yes(details.bad_request().is_some()),
            yes(reason.metadata.contains_key("proposal")),
            yes(reason.metadata.contains_key("incident")),
        )
        .unwrap();
    }
    insta::assert_snapshot!(out);
}

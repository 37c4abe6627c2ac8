//! What the interface promises, printed from what it does: which action each call asks for, and
//! which status each error becomes.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what it expects and fails loudly"
)]

use kms_core::error::{Error, Kind};
use kms_server::grpc::action_at;
use kms_server::grpc::status::{code, status};
use prost_reflect::DescriptorPool;
use std::fmt::Write;
use tonic_types::StatusExt;

#[test]
fn every_call_asks_for_an_action() {
    let pool = DescriptorPool::decode(kms_proto::DESCRIPTORS).unwrap();
    let mut out = String::from("Service and call, the action that it asks for, approvals\n");
    let mut calls = 0;
    for service in pool.services() {
        writeln!(out, "\n{}", service.name()).unwrap();
        for method in service.methods() {
            let path = format!("/{}/{}", service.full_name(), method.name());
            let Some(action) = action_at(&path) else {
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

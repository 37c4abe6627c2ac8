//! Pseudonyms: what requirement R-093 asks of them, and what they are for.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod chain;
mod requirement;
mod two_levels;

use kms_core::pseudonym::Pseudonym;
use kms_proto::v1::{self, identifier::Identifier::Opaque};
use softhsm_tests::{Deployment, gateway::Gateway, gateway::identifier};

const LINK: &str = "spaces/warehouse/edges/link";
const LOCAL: &str = "spaces/warehouse/edges/local";

/// In one call.
const CALL: usize = 10_000;

/// EMC2's people and services, and one service more that evaluates these edges.
fn also(service: &str, edges: &[&str]) -> String {
    let emc2 = softhsm_tests::program::repository().join("ops/emc2/bindings.yaml");
    let bindings = std::fs::read_to_string(emc2).unwrap();
    let edges = edges.join(", ");
    format!(
        "{bindings}\n  - principal: service/{service}\n    roles: [{{role: pseudonymiser, edges: [{edges}]}}]\n"
    )
}

/// Declares what is in this inventory.
fn declare(kms: &Deployment, inventory: &str) {
    std::fs::write(kms.directory().join("more.yaml"), inventory).unwrap();
    let steward = kms.cli("stella");
    let apply = ["inventory", "apply", "-f", "more.yaml"];
    steward.run(apply).succeeds();
}

/// Lets everybody evaluate so much along an edge in a day.
fn allow(kms: &Deployment, edge: &str, items: usize) {
    let limit = format!("items/day={items}");
    let set = [
        "quota", "set", "--reason", "a test", "--each", "--edge", edge,
    ];
    let set = set.into_iter().chain(["--limit", &limit]);
    kms.cli("stella").run(set).succeeds();
}

/// What these identifiers stand for along an edge.
fn evaluate(
    gateway: &Gateway,
    edge: &str,
    identifiers: impl Iterator<Item = String>,
) -> Vec<Pseudonym> {
    let opaque = |text| identifier(Opaque(text));
    parsed(gateway, edge, identifiers.map(opaque).collect())
}

fn parsed(gateway: &Gateway, edge: &str, identifiers: Vec<v1::Identifier>) -> Vec<Pseudonym> {
    let results = gateway.evaluate(edge, identifiers).unwrap().into_iter();
    let parse = |text: Result<String, tonic::Status>| Pseudonym::parse(&text.unwrap()).unwrap();
    results.map(parse).collect()
}

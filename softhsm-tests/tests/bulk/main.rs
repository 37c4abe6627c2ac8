//! Pseudonyms by the million, through the command line and the stream, on a real token: files there
//! and back, whatever dies on the way.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::wildcard_enum_match_arm,
    reason = "a test that cannot go on fails"
)]

mod files;
mod hostile;
mod interrupted;
mod memory;
mod national;
mod stream;
mod table;

use softhsm_tests::Deployment;
use softhsm_tests::gateway::Gateway;

pub(crate) const LINK: &str = "spaces/warehouse/edges/link";
pub(crate) const LINK_CLI: &str = "warehouse/link";

/// A deployment with a small inventory and room in its quotas, whose server listens at the same place after a restart: a
/// client that waits for it finds it again.
pub(crate) fn begin() -> Deployment {
    let kms = Deployment::emc2().start();
    kms.furnish();
    for edge in [LINK_CLI, "project-01/warehouse"] {
        let room = [
            "--each",
            "--limit",
            "items/day=9000000",
            "--reason",
            "a test",
        ];
        let set = ["quota", "set", "--edge", edge];
        kms.cli("stella").run(set.iter().chain(&room)).succeeds();
    }
    kms.stays();
    kms
}

/// How many identifiers were evaluated, by the log of uses.
pub(crate) fn evaluated(kms: &mut Deployment) -> u64 {
    let auditor = Gateway::connect(kms, "ada");
    let records = auditor.records(kms_proto::v1::Log::Uses).unwrap();
    let used = records
        .iter()
        .filter(|r| r["api"]["operation"] == "Pseudonymise");
    used.map(|r| r["unmapped"]["kms"]["items"].as_u64().unwrap())
        .sum()
}

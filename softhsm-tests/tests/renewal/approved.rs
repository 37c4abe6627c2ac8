//! In production each step of a campaign needs two custodians, and nobody gets around them.

use crate::bench::{Bench, LINK};
use softhsm_tests::Deployment;

/// One custodian agrees to all that waits.
fn agrees(bench: &Bench, custodian: &str) -> String {
    let custodian = bench.cli(custodian);
    let listed = custodian
        .run(["proposal", "list", "-o", "json"])
        .succeeds()
        .json();
    let proposals = listed["proposals"].as_array().unwrap();
    let name = proposals[0]["name"].as_str().unwrap().to_owned();
    let arguments = ["proposal", "approve", &name, "--reason", "agreed", "--yes"];
    custodian.run(arguments).succeeds();
    name
}

#[test]
fn each_step_waits_for_two_custodians() {
    let kms = Deployment::emc2().production().start();
    let bench = Bench::of(kms);
    let steward = bench.cli("stella");
    steward
        .run(["space", "create", "warehouse", "--kind", "warehouse"])
        .succeeds();
    steward.run(["domain", "create", "link"]).succeeds();
    let edge = [
        "edge", "create", LINK, "--code", "whlink", "--input", "opaque",
    ];
    steward.run(edge).fails(12);
    agrees(&bench, "carl");
    steward.run(edge).succeeds();
    bench.patients(30);

    let start = [
        "--translator",
        "service/link-pseudonymiser",
        "--expected",
        "30",
        "--reason",
        "a test",
    ];
    bench.renew("olivia", "start", LINK, &start).fails(12);
    agrees(&bench, "carl");
    bench.renew("olivia", "start", LINK, &start).fails(12);
    let translate = ["patients.csv", "--column", "ID", "--table", "link.table"];
    bench
        .renew("link-pseudonymiser", "translate", LINK, &translate)
        .fails(4);
    let name = agrees(&bench, "carol");
    // Whoever asked may also carry it out by the proposal's name.
    bench
        .cli("olivia")
        .run(["proposal", "execute", &name])
        .succeeds();
    bench
        .renew("link-pseudonymiser", "translate", LINK, &translate)
        .succeeds();
    bench
        .renew("link-pseudonymiser", "verify", LINK, &translate)
        .succeeds();
    for (verb, state) in [("cutover", "CUT_OVER"), ("finish", "FINISHED")] {
        let step = ["--reason", "a test", "--yes"];
        bench.renew("olivia", verb, LINK, &step).fails(12);
        agrees(&bench, "carl");
        bench.renew("olivia", verb, LINK, &step).fails(12);
        agrees(&bench, "carol");
        let done = bench.renew("olivia", verb, LINK, &step).succeeds().json();
        assert_eq!(done["state"], state);
    }
}

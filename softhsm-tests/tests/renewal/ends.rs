//! The ways in which a campaign ends otherwise: layered, or given up.

use crate::bench::{Bench, LINK};
use serde_json::json;

#[test]
fn where_nothing_else_is_left_the_new_version_is_layered_on_the_old_one() {
    let mut bench = Bench::new();
    bench.patients(1_200);
    bench.map(
        "link-pseudonymiser",
        LINK,
        "opaque",
        "patients.csv",
        "old.csv",
    );
    bench.start(LINK, "layered", "service/link-pseudonymiser");
    let from = ["old.csv", "--column", "ID", "--table", "link.table"];
    // The identifiers themselves are not what a layered campaign evaluates.
    let wrong = ["patients.csv", "--column", "ID", "--table", "wrong.table"];
    bench
        .renew("link-pseudonymiser", "translate", LINK, &wrong)
        .fails(3);
    bench
        .renew("link-pseudonymiser", "translate", LINK, &from)
        .succeeds();
    bench
        .renew("link-pseudonymiser", "verify", LINK, &from)
        .succeeds();
    bench
        .renew(
            "olivia",
            "cutover",
            LINK,
            &["--reason", "verified", "--yes"],
        )
        .succeeds();
    bench.crash();
    let apply = [
        "old.csv",
        "--column",
        "ID",
        "--table",
        "link.table",
        "-O",
        "new.csv",
    ];
    bench
        .renew("warehouse-etl", "apply", LINK, &apply)
        .succeeds();
    let finish = ["--reason", "done", "--yes"];
    let done = bench
        .renew("olivia", "finish", LINK, &finish)
        .succeeds()
        .json();
    assert_eq!(done["mode"], "LAYERED");
    assert_eq!(
        done["kept"],
        json!(["spaces/warehouse/keys/edge-link/versions/1"])
    );
    assert_eq!(
        done["destroyed"],
        json!(["spaces/warehouse/keys/renewal-whlink-2/versions/1"])
    );
    bench.crash();
    // From the identifiers one gets, through both stages, what was made from the old pseudonyms.
    bench.map(
        "link-pseudonymiser",
        LINK,
        "opaque",
        "patients.csv",
        "fresh.csv",
    );
    let (new, fresh) = (bench.column("new.csv", 0), bench.column("fresh.csv", 0));
    assert!(new == fresh && new[0].starts_with("h1-whlink-v2-1"));
    let destroy = [
        "version",
        "destroy",
        "warehouse/edge-link/1",
        "--reason",
        "old",
        "--yes",
        "--force",
    ];
    bench
        .cli("olivia")
        .run(destroy)
        .fails(7)
        .saying("first stage of");
    let listed = bench
        .cli("olivia")
        .run(["version", "list", "warehouse/edge-link"])
        .succeeds();
    assert!(
        listed
            .text()
            .contains("first stage of warehouse/edge-link/2"),
        "{listed}"
    );
}

#[test]
fn given_up_before_the_cutover_the_old_version_goes_on() {
    let mut bench = Bench::new();
    bench.patients(1_000);
    bench.map(
        "link-pseudonymiser",
        LINK,
        "opaque",
        "patients.csv",
        "old.csv",
    );
    bench.start(LINK, "recompute", "service/link-pseudonymiser");
    let second = [
        "--translator",
        "service/link-pseudonymiser",
        "--expected",
        "1000",
        "--reason",
        "again",
    ];
    bench
        .renew("olivia", "start", LINK, &second)
        .fails(7)
        .saying("runs since");
    bench
        .renew(
            "link-pseudonymiser",
            "translate",
            LINK,
            &["patients.csv", "--column", "ID", "--table", "link.table"],
        )
        .succeeds();
    let reason = ["--reason", "wrong file", "--yes"];
    bench
        .renew("olivia", "finish", LINK, &reason)
        .fails(7)
        .saying("--abandon");
    let abandon = [&reason[..], &["--abandon"]].concat();
    let done = bench
        .renew("olivia", "finish", LINK, &abandon)
        .succeeds()
        .json();
    assert_eq!(done["state"], "ABANDONED");
    bench.crash();
    bench.map(
        "link-pseudonymiser",
        LINK,
        "opaque",
        "patients.csv",
        "fresh.csv",
    );
    assert!(bench.column("old.csv", 0) == bench.column("fresh.csv", 0));
    assert_eq!(bench.state("warehouse/edge-link/2"), "DESTROYED");
    assert!(bench.kms.terminate().success());
    bench.kms.doctor(&[]).succeeds();
}

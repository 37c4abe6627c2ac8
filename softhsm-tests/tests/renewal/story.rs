//! Whole campaigns.

use crate::bench::{Bench, LINK, PROJECT, anywhere};
use serde_json::json;

const COUNT: u64 = 2_500;

/// What a campaign is asked with, for the patients of the file.
const PATIENTS: [&str; 5] = ["patients.csv", "--column", "ID", "--table", "link.table"];
const BATCH: [&str; 2] = ["--batch", "1000"];

#[test]
fn a_compromised_secret_is_renewed_and_what_hangs_below_follows() {
    let mut bench = Bench::new();
    bench.patients(COUNT);
    bench.map(
        "link-pseudonymiser",
        LINK,
        "opaque",
        "patients.csv",
        "old.csv",
    );
    bench.map(
        "project-01-pseudonymiser",
        PROJECT,
        "pseudonym",
        "old.csv",
        "cohort.csv",
    );
    let compromise = [
        "version",
        "compromise",
        "warehouse/edge-link/1",
        "--reason",
        "leak",
        "--yes",
    ];
    bench.cli("olivia").run(compromise).succeeds();
    let refused = bench
        .cli("link-pseudonymiser")
        .run_with(["pseudonym", "eval", "--edge", LINK], b"X\n");
    refused.fails(7).saying("renewal campaign");

    // Before, by others, and after: nobody translates.
    let translate = [&PATIENTS[..], &BATCH].concat();
    bench
        .renew("link-pseudonymiser", "translate", LINK, &translate)
        .fails(4);
    let started = bench.start(LINK, "recompute", "service/link-pseudonymiser");
    assert_eq!(started["state"], "TRANSLATING");
    assert_eq!(
        started["toRenew"],
        json!(["spaces/project-01/edges/warehouse"])
    );
    for other in ["project-01-pseudonymiser", "warehouse-etl"] {
        bench.renew(other, "translate", LINK, &translate).fails(4);
    }
    bench.crash();
    let told = bench.renew("link-pseudonymiser", "translate", LINK, &translate);
    assert_eq!(told.succeeds().json()["rows"], COUNT);
    assert!(
        !anywhere(&bench.path("link.table"), "h1-whlink"),
        "a table in clear"
    );
    let sealed = bench.listed("link.table");
    assert_eq!(
        sealed.len(),
        4,
        "a label and three parts: {:?}",
        sealed.keys()
    );

    // Nothing cuts over, or activates the new version, without a verification.
    let reason = ["--reason", "verified", "--yes"];
    bench
        .renew("olivia", "cutover", LINK, &reason)
        .fails(7)
        .saying("verify");
    let activate = [
        "version",
        "activate",
        "warehouse/edge-link/2",
        "--reason",
        "a way round",
    ];
    bench.cli("olivia").run(activate).fails(7).saying("cutover");
    let verified = bench
        .renew("link-pseudonymiser", "verify", LINK, &PATIENTS)
        .succeeds()
        .json();
    assert_eq!(verified["state"], "VERIFIED");
    assert_eq!(verified["verification"]["rows"], COUNT.to_string());
    bench.crash();
    let cut = bench
        .renew("olivia", "cutover", LINK, &reason)
        .succeeds()
        .json();
    assert_eq!(cut["state"], "CUT_OVER");
    assert_eq!(bench.state("warehouse/edge-link/1"), "COMPROMISED");
    bench.crash();

    // Whoever evaluates the edge cannot open its table; whoever reads in the space can.
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
        .renew("link-pseudonymiser", "apply", LINK, &apply)
        .fails(4);
    let applied = bench
        .renew("warehouse-etl", "apply", LINK, &apply)
        .succeeds()
        .json();
    assert_eq!(applied["replaced"], COUNT);
    bench.map(
        "link-pseudonymiser",
        LINK,
        "opaque",
        "patients.csv",
        "fresh.csv",
    );
    assert!(bench.column("new.csv", 0) == bench.column("fresh.csv", 0));
    let again = ["new.csv", "--column", "ID", "--table", "link.table"];
    let again = bench
        .renew("warehouse-etl", "apply", LINK, &again)
        .succeeds()
        .json();
    assert_eq!(again["already"], COUNT);

    below(&mut bench);

    // The end takes the old version and the table's key with it.
    let done = bench
        .renew("olivia", "finish", LINK, &["--reason", "done", "--yes"])
        .succeeds()
        .json();
    assert_eq!(done["state"], "FINISHED");
    let gone = json!([
        "spaces/warehouse/keys/edge-link/versions/1",
        "spaces/warehouse/keys/renewal-whlink-2/versions/1"
    ]);
    assert_eq!(done["destroyed"], gone);
    assert_eq!(bench.state("warehouse/edge-link/1"), "DESTROYED");
    bench
        .renew(
            "warehouse-etl",
            "apply",
            LINK,
            &[
                "old.csv",
                "--column",
                "ID",
                "--table",
                "link.table",
                "-O",
                "late.csv",
            ],
        )
        .fails(7);
    assert!(!bench.path("late.csv").exists());
    bench
        .renew("link-pseudonymiser", "translate", LINK, &translate)
        .fails(4);
    assert!(bench.kms.terminate().success());
    bench.kms.doctor(&[]).succeeds();
    // Neither logs nor store nor the server's own log have an identifier or a pseudonym.
    for text in [
        &bench.column("new.csv", 0)[0],
        &bench.column("patients.csv", 0)[0],
    ] {
        assert!(
            !anywhere(bench.kms.data(), text),
            "a value was written down"
        );
    }
}

/// The project's pseudonyms come from the warehouse's old ones: they are renewed too, from the pairs.
fn below(bench: &mut Bench) {
    let both = [
        "old.csv",
        "--column",
        "ID",
        "--into",
        "NEW",
        "--table",
        "link.table",
        "-O",
        "both.csv",
    ];
    bench
        .renew("warehouse-etl", "apply", LINK, &both)
        .succeeds();
    let who = "project-01-pseudonymiser";
    bench.start(PROJECT, "recompute", "service/project-01-pseudonymiser");
    // An old pseudonym of the parent alone is not enough.
    let alone = [
        "old.csv",
        "--column",
        "ID",
        "--input",
        "pseudonym",
        "--table",
        "wrong.table",
    ];
    bench
        .renew(who, "translate", PROJECT, &alone)
        .fails(3)
        .saying("new pseudonym");
    let pairs = [
        "both.csv",
        "--column",
        "ID",
        "--after",
        "NEW",
        "--table",
        "p01.table",
    ];
    bench.renew(who, "translate", PROJECT, &pairs).succeeds();
    bench.renew(who, "verify", PROJECT, &pairs).succeeds();
    bench.crash();
    bench
        .renew(
            "olivia",
            "cutover",
            PROJECT,
            &["--reason", "verified", "--yes"],
        )
        .succeeds();
    let apply = [
        "cohort.csv",
        "--column",
        "ID",
        "--table",
        "p01.table",
        "-O",
        "cohort-new.csv",
    ];
    bench
        .renew("project-01-notebook", "apply", PROJECT, &apply)
        .succeeds();
    bench.map(who, PROJECT, "pseudonym", "new.csv", "cohort-fresh.csv");
    assert!(bench.column("cohort-new.csv", 0) == bench.column("cohort-fresh.csv", 0));
    let done = bench
        .renew("olivia", "finish", PROJECT, &["--reason", "done", "--yes"])
        .succeeds();
    assert_eq!(done.json()["state"], "FINISHED");
    assert_eq!(bench.state("project-01/edge-warehouse/1"), "DESTROYED");
    let above = bench.renew("olivia", "show", LINK, &[]).succeeds().json();
    assert_eq!(above["toRenew"], json!([]), "nothing is left to renew");
}

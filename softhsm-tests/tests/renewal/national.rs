//! A supplier's edge of national identifiers is renewed: recomputed from level 0, at the supplier.

use crate::bench::{Bench, anywhere};
use serde_json::json;
use softhsm_tests::supplier::{REGISTER_CLI, supplier};
use std::fs;

const WHO: &str = "registrar";
const FROM: [&str; 7] = [
    "people.csv",
    "--column",
    "NIR,BORN,SEX",
    "--input",
    "nir",
    "--table",
    "nir.table",
];

#[test]
fn a_secret_of_national_identifiers_is_renewed_where_they_are() {
    let bench = Bench::of(supplier());
    // The same number a century apart, and Corsica.
    let people = "SEX,NIR,BORN
2,255081416802538,1955-08-03
2,255081416802538,1855-08-03
2,255082A16802597,1955-08-03
";
    fs::write(bench.path("people.csv"), people).unwrap();
    let map = |out: &str| {
        let asked = ["pseudonym", "map", "people.csv", "--column", "NIR,BORN,SEX"];
        let edge = ["--edge", REGISTER_CLI, "--input", "nir", "-O", out];
        let mapped = bench.cli(WHO).run(asked.iter().chain(&edge));
        mapped.succeeds();
    };
    map("old.csv");
    bench.starts((REGISTER_CLI, "recompute", "service/registrar"), 3);

    // What is none of its type is named by line and not by value, before anything is asked.
    let flawed = people.replace("1855-08-03", "");
    fs::write(bench.path("people.csv"), flawed).unwrap();
    let told = bench.renew(WHO, "translate", REGISTER_CLI, &FROM).fails(3);
    let told = told.saying("line 3");
    assert!(!told.stderr.contains("2550814"), "{told}");
    fs::write(bench.path("people.csv"), people).unwrap();
    // One column of three is not enough.
    let short = FROM.map(|word| if word.contains(',') { "NIR" } else { word });
    bench
        .renew(WHO, "translate", REGISTER_CLI, &short)
        .fails(2)
        .saying("NIR,BIRTH-DATE,SEX");

    bench
        .renew(WHO, "translate", REGISTER_CLI, &FROM)
        .succeeds();
    bench.renew(WHO, "verify", REGISTER_CLI, &FROM).succeeds();
    let step = ["--reason", "a test", "--yes"];
    bench
        .renew("olivia", "cutover", REGISTER_CLI, &step)
        .succeeds();
    let apply = ["old.csv", "--column", "NIR", "--table", "nir.table", "-O"];
    let apply = [&apply[..], &["new.csv"]].concat();
    bench
        .renew("register-etl", "apply", REGISTER_CLI, &apply)
        .succeeds();
    map("fresh.csv");
    let [old, new, fresh] = ["old.csv", "new.csv", "fresh.csv"].map(|name| bench.column(name, 1));
    assert!(new == fresh && new.iter().all(|made| made.starts_with("h1-l1link-v2-1")));
    assert!(new[0] != new[1] && new[0] != new[2] && new[0] != old[0]);
    let done = bench
        .renew("olivia", "finish", REGISTER_CLI, &step)
        .succeeds()
        .json();
    assert_eq!(
        done["destroyed"],
        json!([
            "spaces/register/keys/edge-nir/versions/1",
            "spaces/register/keys/renewal-l1link-2/versions/1"
        ])
    );
    for text in ["2550814168025", new[0].as_str()] {
        assert!(
            !anywhere(bench.kms.data(), text),
            "a value was written down"
        );
        assert!(
            !anywhere(&bench.path("nir.table"), text),
            "a table in clear"
        );
    }
}

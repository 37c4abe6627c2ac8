//! CSV and Parquet, there and on: order, columns, lines that are rejected, transfers.

use crate::{LINK, LINK_CLI, begin, table};
use parquet::basic::Compression;
use softhsm_tests::{Deployment, gateway::Gateway};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// What the service makes of identifiers, one call each file apart.
fn pseudonyms(kms: &mut Deployment, identifiers: &[String]) -> BTreeMap<String, String> {
    let link = Gateway::connect(kms, "link-pseudonymiser");
    let texts: Vec<&str> = identifiers.iter().map(String::as_str).collect();
    let made = link.pseudonymise(LINK, &texts).unwrap();
    identifiers.iter().cloned().zip(made).collect()
}

#[test]
fn several_columns_of_a_csv_file_become_pseudonyms_in_order_and_go_on_to_the_next_space() {
    let mut kms = begin();
    let directory = kms.directory().to_owned();
    let mut text = "NUMBER;ID;NOTE;MOTHER\n".to_owned();
    for number in 0..2_000 {
        let note = format!("\"note {number}; \"\"quoted\"\"\"");
        text.push_str(&format!(
            "{number};CHILD-{number};{note};MOTHER-{}\n",
            number / 2
        ));
    }
    fs::write(directory.join("births.csv"), text).unwrap();
    let link = kms.cli("link-pseudonymiser");
    let columns = [
        "--column", "MOTHER", "--edge", LINK_CLI, "--column", "ID", "--edge", LINK_CLI,
    ];
    let map = [
        "pseudonym",
        "map",
        "births.csv",
        "--delimiter",
        ";",
        "--batch",
        "300",
    ];
    link.run(map.iter().chain(&columns)).succeeds();

    let identifiers = (0..2_000).map(|n| format!("CHILD-{n}"));
    let mothers = (0..1_000).map(|n| format!("MOTHER-{n}"));
    let made = pseudonyms(&mut kms, &identifiers.chain(mothers).collect::<Vec<_>>());
    let out = directory.join("births.pseudonymised.csv");
    let mode = fs::metadata(&out).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "the owner's alone");
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(b';')
        .from_path(&out)
        .unwrap();
    let mut lines = 0;
    for (number, record) in reader.records().enumerate() {
        let record = record.unwrap();
        assert_eq!(record[0], number.to_string());
        assert_eq!(record[1], made[&format!("CHILD-{number}")]);
        assert_eq!(record[2], format!("note {number}; \"quoted\""));
        assert_eq!(record[3], made[&format!("MOTHER-{}", number / 2)]);
        lines += 1;
    }
    assert_eq!(lines, 2_000);
    // Level 2 is evaluated by somebody else, from what level 1 wrote.
    let project = kms.cli("project-01-pseudonymiser");
    let transfer = [
        "pseudonym",
        "transfer",
        "births.pseudonymised.csv",
        "-O",
        "project.csv",
        "--delimiter",
        ";",
        "--column",
        "ID",
        "--edge",
        "project-01/warehouse",
        "--column",
        "MOTHER",
        "--edge",
        "project-01/warehouse",
    ];
    project.run(transfer).succeeds();
    let moved = fs::read_to_string(directory.join("project.csv")).unwrap();
    assert_eq!(moved.lines().count(), 2_001);
    assert_eq!(moved.matches(";h1-p01-v1-1").count(), 4_000);
    assert!(!moved.contains("whlink") && !moved.contains("CHILD"));
}

#[test]
fn parquet_keeps_its_other_columns_and_what_is_rejected_is_left_out_of_all_of_them() {
    let mut kms = begin();
    let directory = kms.directory().to_owned();
    let link = kms.cli("link-pseudonymiser");
    let whole = [table::rows(0, 500), table::rows(500, 700)];
    let columns = [
        "--column", "ID", "--edge", LINK_CLI, "--column", "MOTHER", "--edge", LINK_CLI,
    ];
    let map = |file: &str| {
        let map = ["pseudonym", "map", file, "--batch", "128"];
        link.run(map.iter().chain(&columns))
    };
    let identifiers = (0..1_200).map(|n| format!("CHILD-{n:06}"));
    let mothers = (0..600).map(|n| format!("MOTHER-{n:06}"));
    let made = pseudonyms(&mut kms, &identifiers.chain(mothers).collect::<Vec<_>>());
    let expected = |row: &table::Row| table::Row {
        id: made[&row.id].clone(),
        mother: row.mother.as_ref().map(|mother| made[mother].clone()),
        ..row.clone()
    };
    for (name, compression) in [
        ("plain", Compression::UNCOMPRESSED),
        ("snappy", Compression::SNAPPY),
        ("zstd", table::zstd()),
    ] {
        table::write(
            &directory.join(format!("{name}.parquet")),
            &whole,
            compression,
        );
        map(&format!("{name}.parquet")).succeeds();
        let out = table::read(&directory.join(format!("{name}.pseudonymised.parquet")));
        assert!(
            out == whole.concat().iter().map(expected).collect::<Vec<_>>(),
            "{name}"
        );
    }

    // A mother is missing, another has a space behind her, a child is not ASCII: 3 of 1,200 rows.
    let mut torn = whole.clone();
    torn[0][7].mother = None;
    torn[1][0].mother = Some("MOTHER ".to_owned());
    torn[1][699].id = "ENFANT-É".to_owned();
    table::write(&directory.join("torn.parquet"), &torn, table::zstd());
    let told = map("torn.parquet")
        .fails(13)
        .saying("3 of 1200 lines are rejected");
    assert!(!told.stderr.contains("ENFANT"), "{told}");
    let out = table::read(&directory.join("torn.pseudonymised.parquet"));
    let left_out = BTreeSet::from([7, 500, 1_199]);
    let kept = whole.concat();
    let kept = kept.iter().filter(|row| !left_out.contains(&row.number));
    assert!(out == kept.map(expected).collect::<Vec<_>>());
    let listed = directory.join("torn.pseudonymised.parquet.rejected.csv");
    let listed = fs::read_to_string(listed).unwrap();
    let lines: Vec<&str> = listed.lines().collect();
    assert_eq!(lines.len(), 4, "{listed}");
    assert_eq!(lines[1], "8,MOTHER,the identifier is missing");
    assert!(
        lines[2].starts_with("501,MOTHER,") && lines[3].starts_with("1200,ID,"),
        "{listed}"
    );
    assert!(
        !listed.contains("ENFANT") && !listed.contains("MOTHER "),
        "{listed}"
    );

    // The same people in the next space, by somebody else.
    let project = kms.cli("project-01-pseudonymiser");
    let transfer = [
        "pseudonym",
        "transfer",
        "plain.pseudonymised.parquet",
        "-O",
        "p.parquet",
    ];
    let columns = ["--column", "ID", "--edge", "project-01/warehouse"];
    project.run(transfer.iter().chain(&columns)).succeeds();
    let moved = table::read(&directory.join("p.parquet"));
    assert_eq!(moved.len(), 1_200);
    assert!(moved.iter().all(|row| row.id.starts_with("h1-p01-v1-1")));
}

#[test]
fn what_is_no_pseudonym_of_the_parent_is_not_transferred() {
    let mut kms = begin();
    let directory = kms.directory().to_owned();
    let made = pseudonyms(&mut kms, &["PATIENT-1".to_owned(), "PATIENT-2".to_owned()]);
    let (first, second) = (&made["PATIENT-1"], &made["PATIENT-2"]);
    let mut mistyped = second.clone();
    let last = mistyped.pop().unwrap();
    mistyped.push(if last == 'q' { 'p' } else { 'q' });
    let project = kms.cli("project-01-pseudonymiser");
    let transfer = |name: &str, text: &str| {
        fs::write(directory.join(name), text).unwrap();
        let column = ["--column", "ID", "--edge", "project-01/warehouse"];
        project.run(["pseudonym", "transfer", name].iter().chain(&column))
    };
    transfer("one.csv", &format!("ID\n{first}\n")).succeeds();
    let of_project = fs::read_to_string(directory.join("one.pseudonymised.csv")).unwrap();
    let of_project = of_project.lines().nth(1).unwrap().to_owned();
    // An identifier, one mistyped, and one of another space: the first two are not even sent.
    let before = crate::evaluated(&mut kms);
    let text = format!("ID\n{first}\nPATIENT-2\n{mistyped}\n{of_project}\n{second}\n");
    transfer("two.csv", &text)
        .fails(13)
        .saying("3 of 5 lines are rejected");
    assert_eq!(crate::evaluated(&mut kms) - before, 3);
    let out = fs::read_to_string(directory.join("two.pseudonymised.csv")).unwrap();
    assert_eq!(out.lines().count(), 3);
    assert_eq!(out.lines().nth(1), Some(of_project.as_str()));
    let listed = directory.join("two.pseudonymised.csv.rejected.csv");
    let listed = fs::read_to_string(listed).unwrap();
    for (line, words) in [
        ("3,ID,", "this is not a pseudonym"),
        ("4,ID,", "mistyped or cut"),
        ("5,ID,", "not a pseudonym of spaces/warehouse"),
    ] {
        let told = listed.lines().find(|told| told.starts_with(line)).unwrap();
        assert!(told.contains(words), "{told}");
    }
    assert!(
        !listed.contains("h1-") && !listed.contains("PATIENT"),
        "{listed}"
    );
}

//! Files that are not what they seem: each is a sentence, and nothing is evaluated for it.

use crate::{LINK_CLI, begin, evaluated, table};
use parquet::basic::Compression;
use std::fs;

#[test]
fn a_file_that_is_not_what_it_seems_is_told_and_costs_nothing() {
    let mut kms = begin();
    let directory = kms.directory().to_owned();
    let link = kms.cli("link-pseudonymiser");
    let map = |file: &str, column: &str| {
        link.run([
            "pseudonym",
            "map",
            file,
            "--column",
            column,
            "--edge",
            LINK_CLI,
        ])
    };
    let good = [table::rows(0, 300)];
    table::write(&directory.join("good.parquet"), &good, Compression::SNAPPY);
    let whole = fs::read(directory.join("good.parquet")).unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(directory.join(name), bytes).unwrap();

    for (column, words) in [
        ("PATIENT", "no column \"PATIENT\", but 6"),
        ("number", "of type INT64"),
        ("birth", "of type INT32"),
        ("tags", "is nested"),
    ] {
        map("good.parquet", column).fails(3).saying(words);
    }
    write("torn.parquet", &whole[..whole.len() / 2]);
    map("torn.parquet", "ID")
        .fails(3)
        .saying("cannot be read as Parquet");
    write("magic.parquet", b"ID\nSECRET-1\n");
    map("magic.parquet", "ID")
        .fails(3)
        .saying("does not begin with PAR1");
    write("secret.parquet", b"PARE and the rest");
    map("secret.parquet", "ID").fails(3).saying("encrypted");
    write("short.parquet", b"PAR1");
    map("short.parquet", "ID").fails(3).saying("Parquet");
    // The footer says that there is more than there is.
    let mut cut = whole[..8].to_vec();
    cut.extend(&whole[whole.len() / 2..]);
    write("cut.parquet", &cut);
    map("cut.parquet", "ID").fails(3).saying("damaged");
    // A Parquet file under another name is one.
    write("named.csv", &whole);
    map("named.csv", "PATIENT")
        .fails(3)
        .saying("but 6 of other names");
    // Bits that fell over: whatever it is, it is a sentence, never a value.
    for at in (4..whole.len()).step_by(whole.len() / 40) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        write("bits.parquet", &bytes);
        let ended = link.run([
            "pseudonym",
            "map",
            "bits.parquet",
            "--column",
            "MOTHER",
            "--edge",
            LINK_CLI,
            "--force",
        ]);
        let code = ended.code();
        assert!(matches!(code, Some(0 | 3 | 11 | 13)), "byte {at}: {ended}");
        assert!(!ended.stderr.contains("MOTHER-0"), "byte {at}: {ended}");
    }

    let before = evaluated(&mut kms);
    write(
        "quote.csv",
        format!("ID\nSECRET-1\n\"{}", "SECRET,\n".repeat(3_000_000)).as_bytes(),
    );
    let told = map("quote.csv", "ID")
        .fails(3)
        .saying("a quote is not closed");
    assert!(!told.stderr.contains("SECRET"), "{told}");
    write("twice.csv", b"ID,ID\nSECRET-1,2\n");
    map("twice.csv", "ID").fails(3).saying("several columns");
    write("list.csv", b"ID\nSECRET-1\n");
    let one = ["pseudonym", "map", "list.csv", "--column", "ID"];
    let two = one.iter().chain(&["--edge", LINK_CLI, "--edge", LINK_CLI]);
    link.run(two)
        .fails(2)
        .saying("each --column has its own --edge");
    assert_eq!(evaluated(&mut kms), before);
}

use super::LINK;
use kms_proto::v1::identifier::Identifier::{Opaque, Pseudonym};
use softhsm_tests::{
    Deployment,
    gateway::{Gateway, identifier},
};
use std::fs;
use tonic::Code;

pub(super) fn an_identifier_of_the_wrong_type_has_its_own_error_and_spoils_no_other(
    kms: &mut Deployment,
) {
    let service = Gateway::connect(kms, "link-pseudonymiser");
    let right = service
        .pseudonymise(LINK, &["SYNTHETIC-1"])
        .unwrap()
        .remove(0);

    let asked = vec![
        identifier(Opaque("SYNTHETIC-1".into())),
        identifier(Pseudonym(right.clone())),
        identifier(Opaque(String::new())),
        identifier(Opaque(" SYNTHETIC-1".into())),
        identifier(Opaque("SYNTHÉTIQUE".into())),
        identifier(Opaque("x".repeat(257))),
        kms_proto::v1::Identifier { identifier: None },
        identifier(Opaque("SYNTHETIC-2".into())),
    ];
    let results = service.evaluate(LINK, asked).unwrap();
    assert_eq!(results.len(), 8);
    assert_eq!(results[0].as_ref().unwrap(), &right);
    assert!(results[7].is_ok());
    for result in &results[1..7] {
        let error = result.as_ref().unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{error:?}");
        assert!(!error.message().contains("SYNTH"), "{error:?}");
    }

    let project = Gateway::connect(kms, "project-01-pseudonymiser");
    let edge = "spaces/project-01/edges/warehouse";
    let mut mistyped = right.clone().into_bytes();
    let last = mistyped.len() - 1;
    mistyped[last] = if mistyped[last] == b'q' { b'p' } else { b'q' };
    let asked = vec![
        identifier(Pseudonym(right.to_uppercase())),
        identifier(Pseudonym(String::from_utf8(mistyped).unwrap())),
        identifier(Opaque(right.clone())),
        identifier(Pseudonym(project_pseudonym(&project, edge, &right))),
        identifier(Pseudonym("SYNTHETIC-1".into())),
    ];
    let results = project.evaluate(edge, asked).unwrap();
    assert_eq!(
        results[0].as_ref().unwrap(),
        &project_pseudonym(&project, edge, &right)
    );
    for result in &results[1..] {
        assert_eq!(
            result.as_ref().unwrap_err().code(),
            Code::InvalidArgument,
            "{result:?}"
        );
    }

    let all: Vec<_> = (0..10_001)
        .map(|n| identifier(Opaque(format!("SYNTHETIC-{n}"))))
        .collect();
    let refused = service.evaluate(LINK, all).unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
    assert!(refused.message().contains("10,000"), "{refused:?}");
}

fn project_pseudonym(service: &Gateway, edge: &str, parent: &str) -> String {
    let one = vec![identifier(Pseudonym(parent.to_owned()))];
    service.evaluate(edge, one).unwrap().remove(0).unwrap()
}

pub(super) fn a_csv_file_is_told_by_line_and_no_value_of_it(kms: &Deployment) {
    let service = kms.cli("link-pseudonymiser");
    let directory = kms.directory();
    let map = |column: &str| {
        service.run([
            "pseudonym",
            "map",
            "p.csv",
            "--column",
            column,
            "--edge",
            "warehouse/link",
        ])
    };
    let out = directory.join("p.pseudonymised.csv");

    fs::write(directory.join("p.csv"), "ID,SITE\nSYNTHETIC-1,LYON\n").unwrap();
    map("PATIENT")
        .fails(3)
        .saying("PATIENT")
        .saying("names 2 columns");
    assert!(!out.exists());

    fs::write(
        directory.join("p.csv"),
        "ID,SITE\nSYNTHETIC-1,LYON\nSYNTHÉTIQUE,LYON\n,LYON\n",
    )
    .unwrap();
    let told = map("ID").fails(13).saying("2 of 3 lines are rejected");
    assert!(!told.stderr.contains("SYNTH"), "{told}");
    let rejected = directory.join("p.pseudonymised.csv.rejected.csv");
    let listed = fs::read_to_string(&rejected).unwrap();
    assert!(
        listed.contains("\n3,ID,") && listed.contains("\n4,ID,the identifier is missing\n"),
        "{listed}"
    );
    assert!(!listed.contains("SYNTH"), "{listed}");
    assert_eq!(fs::read_to_string(&out).unwrap().lines().count(), 2);
    fs::remove_file(&out).unwrap();
    fs::remove_file(&rejected).unwrap();

    fs::write(directory.join("p.csv"), "ID;SITE\nSYNTHETIC-1;LYON\n").unwrap();
    map("ID").fails(3).saying("--delimiter");
    assert!(!out.exists());

    fs::write(directory.join("p.csv"), "").unwrap();
    map("ID").fails(3).saying("the file is empty");

    fs::write(directory.join("p.csv"), "ID,SITE\nSYNTHETIC-1\n").unwrap();
    map("ID").fails(13).saying("1 of 1 lines are rejected");
    let listed = fs::read_to_string(&rejected).unwrap();
    assert!(
        listed.contains("has 1 fields, the header has 2"),
        "{listed}"
    );
    fs::remove_file(&out).unwrap();
    fs::remove_file(&rejected).unwrap();

    fs::write(directory.join("p.csv"), "ID,SITE\nSYNTHETIC-1,LYON\n").unwrap();
    let typo = ["--column", "ID", "--edge", "warehouse/lynk"];
    let refused = service.run(["pseudonym", "map", "p.csv"].iter().chain(&typo));
    refused.fails(4).saying("warehouse");
    assert!(!out.exists());

    map("ID").succeeds();
    let written = fs::read_to_string(&out).unwrap();
    assert!(written.starts_with("ID,SITE\nh1-whlink-v1-1"), "{written}");
}

use kms_client::{HEADER_LENGTH, SLOT_LENGTH};
use softhsm_tests::{Cli, Deployment};
use std::{fs, path::Path};

pub(super) fn a_sealed_file_that_is_not_what_it_was_opens_nothing_and_leaves_no_file(
    kms: &Deployment,
) {
    let etl = kms.cli("lyon-etl");
    let directory = kms.directory();
    let content: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
    fs::write(directory.join("visits"), &content).unwrap();
    let seal = [
        "encrypt",
        "visits",
        "--key",
        "ingest-lyon/object",
        "--context",
        "dataset=visits",
    ];
    etl.run(seal).succeeds();
    let sealed = fs::read(directory.join("visits.kms")).unwrap();

    let refused = |name: &str, bytes: &[u8], more: &[&str], code: i32| {
        fs::write(directory.join(name), bytes).unwrap();
        opens(&etl, name, more).fails(code);
        let out = directory.join(name.strip_suffix(".kms").unwrap());
        assert!(!out.exists(), "{} was left behind", out.display());
    };
    let context = ["--context", "dataset=visits"];
    let flipped = |positions: &[usize]| {
        let mut bytes = sealed.clone();
        for position in positions {
            bytes[*position] ^= 1;
        }
        bytes
    };
    let end = sealed.len();
    // The header is there twice: magic, format, name, wrapped data key, padding, checksum.
    for position in [0, 7, 9, 20, 100, 2_000, SLOT_LENGTH - 1] {
        let both = flipped(&[position, SLOT_LENGTH + position]);
        refused("flipped.kms", &both, &context, 3);
    }
    for position in [HEADER_LENGTH, HEADER_LENGTH + 100, end / 2, end - 1] {
        refused("flipped.kms", &flipped(&[position]), &context, 3);
    }
    for length in [0, 5, 100, 4_000, HEADER_LENGTH, 8_300, end / 2, end - 1] {
        refused("short.kms", &sealed[..length], &context, 3);
    }
    refused("foreign.kms", &content, &context, 3);
    refused("context.kms", &sealed, &["--context", "dataset=visit"], 3);
    refused("context.kms", &sealed, &[], 3);
    refused(
        "key.kms",
        &sealed,
        &["--key", "ingest-lyon/backup", "--context", "dataset=visits"],
        3,
    );
    no_half_files(directory);

    // Whole, or with one of its two headers torn, it opens.
    let torn = [flipped(&[20]), flipped(&[SLOT_LENGTH + 20])];
    for (name, bytes) in ["whole", "first", "second"]
        .into_iter()
        .zip([sealed.clone()].into_iter().chain(torn))
    {
        let file = format!("{name}.kms");
        fs::write(directory.join(&file), bytes).unwrap();
        opens(&etl, &file, &context).succeeds();
        assert_eq!(fs::read(directory.join(name)).unwrap(), content, "{name}");
    }
}

fn opens(cli: &Cli, file: &str, more: &[&str]) -> softhsm_tests::Finished {
    cli.run(["decrypt", file].iter().chain(more))
}

/// Nothing but what the test wrote and what succeeded: no temporary file.
fn no_half_files(directory: &Path) {
    for file in fs::read_dir(directory).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        assert!(
            !name.starts_with('.') && !name.ends_with(".tmp"),
            "{name} was left behind"
        );
    }
}

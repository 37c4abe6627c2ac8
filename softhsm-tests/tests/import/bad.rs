//! What must not come in: one clear sentence each, nothing half-imported, no object left in the
//! token.

use crate::partner::{Transfer, Way};
use crate::world::World;
use softhsm_tests::Finished;

/// The sentence, and that nothing is there: no version, no object.
fn brings_nothing(world: &World, transfer: &Transfer, told: &Finished, objects: usize) {
    assert_eq!(told.text(), "", "{told}");
    let shown = world
        .cli
        .run(["key", "show", &transfer.key, "-o", "json"])
        .succeeds()
        .json();
    assert!(
        shown["primary"].as_str().unwrap_or_default().is_empty(),
        "{shown}"
    );
    assert_eq!(world.objects(), objects, "{told}");
}

/// What becomes of a file on its way.
type Change<'a> = &'a dyn Fn(&mut Vec<u8>);

#[test]
fn wrapped_material_that_is_not_what_it_should_be_brings_nothing_in() {
    let world = World::start();
    let hybrid = world.way("hybrid", &["--takes", "rsa-aes-kwp-sha1", "--two-steps"]);
    let objects = world.objects();
    let key = world.external("data-at-rest", &[]);
    let transfer = world.params(&key, &hybrid);
    let good = transfer.wrap(Way::Ours, &world.material(), None);
    let good = std::fs::read(good).unwrap();
    let bad = transfer.at("bad.bin");
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut blob = good.clone();
        change(&mut blob);
        std::fs::write(&bad, blob).unwrap();
        bad.as_str()
    };
    // What can be told by its length is told before the HSM is asked, and costs no trial.
    let length = "has 424 bytes, and this has";
    let changes: [(Change<'_>, &str); 6] = [
        (&|b| b.clear(), length),
        (&|b| b.truncate(423), length),
        (&|b| b.push(0), length),
        (&|b| b.truncate(384), length),
        (&|b| drop(b.drain(..384)), length),
        (&|b| b.resize(5000, 0), "longer than any wrapped key"),
    ];
    for (change, says) in changes {
        let wrapped = changed(change);
        for told in [
            world.check(&transfer, wrapped),
            world.submit(&transfer, wrapped, &[]),
        ] {
            let told = told.fails(3).saying(says);
            brings_nothing(&world, &transfer, &told, objects);
        }
    }
    // In each of the two parts: of one import token each, because a failed submission spends it.
    for at in [7, 390, 423] {
        let transfer = world.params(&key, &hybrid);
        let wrapped = changed(&|b| b[at] ^= 1);
        let told = world
            .check(&transfer, wrapped)
            .fails(3)
            .saying("does not unwrap");
        brings_nothing(&world, &transfer, &told, objects);
        let told = world.submit(&transfer, wrapped, &[]).fails(3);
        brings_nothing(&world, &transfer, &told, objects);
    }
}

#[test]
fn a_check_is_no_oracle_and_what_was_tried_outlives_a_crash() {
    let mut world = World::start();
    let way = world.way("direct", &["--takes", "rsa-oaep-sha1"]);
    let key = world.external("data-at-rest", &[]);
    let transfer = world.params(&key, &way);
    let good = transfer.wrap(Way::Ours, &world.material(), None);
    let mut blob = std::fs::read(&good).unwrap();
    blob[200] ^= 1;
    let bad = transfer.at("bad.bin");
    std::fs::write(&bad, blob).unwrap();
    let objects = world.objects();
    // What succeeds costs nothing, however often.
    for _ in 0..4 {
        world.check(&transfer, &good).succeeds();
    }
    world
        .check(&transfer, &bad)
        .fails(3)
        .saying("after 2 more failed check(s)");
    world.kms.kill();
    world.kms.restart();
    world
        .check(&transfer, &bad)
        .fails(3)
        .saying("after 1 more failed check(s)");
    world
        .check(&transfer, &bad)
        .fails(3)
        .saying("its import token is void now");
    world.kms.kill();
    world.kms.restart();
    for wrapped in [&good, &bad] {
        let told = world
            .check(&transfer, wrapped)
            .fails(3)
            .saying("this import token is void");
        brings_nothing(&world, &transfer, &told, objects);
    }
    let told = world
        .submit(&transfer, &good, &[])
        .fails(3)
        .saying("this import token is void");
    brings_nothing(&world, &transfer, &told, objects);
    // Another token for the same key is another attempt, on the record.
    let again = world.params(&key, &way);
    world.submit(&again, &good, &[]).succeeds();
}

#[test]
fn an_import_token_is_for_one_key_one_class_one_method_and_once() {
    let world = World::start();
    let way = world.way("direct", &["--takes", "rsa-oaep-sha1"]);
    let first = world.way(
        "first",
        &["--takes", "rsa-oaep-sha1", "--takes-class", "exchange"],
    );
    let (one, other) = (
        world.external("data-at-rest", &[]),
        world.external("data-at-rest", &[]),
    );
    let params = |way: &str, more: &[&str]| {
        let arguments = [
            "import",
            "params",
            &one,
            "--wrapping-key",
            way,
            "-O",
            "none",
        ];
        world.cli.run(arguments.iter().chain(more))
    };
    params(&first, &[])
        .fails(3)
        .saying("one wrapping key serves one class");
    params(&way, &["--mechanism", "rsa-aes-kwp-sha1"])
        .fails(3)
        .saying("one wrapping key serves one method");
    params(&way, &["--mechanism", "aes-kw"])
        .fails(3)
        .saying("does not unwrap AES-KW");

    let transfer = world.params(&one, &way);
    let wrapped = transfer.wrap(Way::Ours, &world.material(), None);
    let objects = world.objects();
    let elsewhere = Transfer {
        key: other,
        ..transfer.clone()
    };
    for told in [
        world.check(&elsewhere, &wrapped),
        world.submit(&elsewhere, &wrapped, &[]),
    ] {
        let told = told.fails(3).saying("the import token is for another key");
        brings_nothing(&world, &elsewhere, &told, objects);
    }
    world.submit(&transfer, &wrapped, &[]).succeeds();
    // A replay, of the token and of the material.
    let objects = world.objects();
    world
        .submit(&transfer, &wrapped, &[])
        .fails(6)
        .saying("the import token is spent");
    let again = world.params(&one, &way);
    world
        .submit(&again, &wrapped, &[])
        .fails(6)
        .saying("this very material came in before, as spaces/lab/keys/key-");
    assert_eq!(world.objects(), objects);
}

#[test]
fn a_byok_file_that_is_not_one_is_named_by_its_field() {
    let world = World::start();
    let hybrid = world.way("hybrid", &["--takes", "rsa-aes-kwp-sha1", "--two-steps"]);
    let direct = world.way("direct", &["--takes", "rsa-oaep-sha1"]);
    let key = world.external("data-at-rest", &[]);
    let transfer = world.params(&key, &hybrid);
    let good = transfer.wrap(Way::PythonByok, &world.material(), None);
    let text = std::fs::read_to_string(&good).unwrap();
    let objects = world.objects();
    let bad = transfer.at("bad.byok");
    let version = "spaces/lab/keys/hybrid/versions/1";
    for (from, to, says) in [
        ("1.0.0", "2.0.0", "schema_version of a .byok file is 1.0.0"),
        (
            "\"dir\"",
            "\"RSA-OAEP\"",
            "header.alg of a .byok file is dir",
        ),
        (
            "CKM_RSA_AES_KEY_WRAP",
            "CKM_RSA_PKCS",
            "header.enc of a .byok file is",
        ),
        (
            version,
            "https://vault/keys/kek",
            "header.kid of a .byok file is the wrapping version",
        ),
        (
            version,
            "spaces/lab/keys/direct/versions/1",
            "it was wrapped for spaces/lab/keys/direct",
        ),
        (
            "\", \"generator\"",
            "==\", \"generator\"",
            "base64url without padding",
        ),
        (
            "\", \"generator\"",
            "+/\", \"generator\"",
            "base64url without padding",
        ),
        (
            "\", \"generator\"",
            "AAAA\", \"generator\"",
            "has 424 bytes, and this has 427",
        ),
        ("\"header\"", "\"heading\"", "this is not a .byok file"),
    ] {
        assert!(text.contains(from), "{text}");
        std::fs::write(&bad, text.replace(from, to)).unwrap();
        let told = world.submit(&transfer, &bad, &[]).fails(3).saying(says);
        brings_nothing(&world, &transfer, &told, objects);
    }
    let other = world.params(&key, &direct);
    std::fs::write(&bad, text.replace("keys/hybrid", "keys/direct")).unwrap();
    let told = world
        .submit(&other, &bad, &[])
        .fails(3)
        .saying("the import token is for RSA-OAEP-SHA1");
    brings_nothing(&world, &other, &told, objects);
    world.submit(&transfer, &good, &[]).succeeds();
}

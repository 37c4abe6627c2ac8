//! Keys that come in: every method, wrapped by us, by stock OpenSSL and by Python; signed parameters
//! and receipts; and what must not come in.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod bad;
mod partner;
mod policy;
mod world;

use partner::Way;
use world::World;

/// By every method that this token has, wrapped with three tools.
#[test]
fn keys_come_in_by_every_method_and_are_marked_for_ever() {
    let world = World::start();
    let before = world.objects();
    let direct = world.way("direct", &["--takes", "rsa-oaep-sha1", "--partner", "hcl"]);
    let hybrid = world.way("hybrid", &["--takes", "rsa-aes-kwp-sha1", "--two-steps"]);
    let mut made = 0;
    for (way, wrappers) in [
        (&direct, &[Way::Ours, Way::OpenSsl, Way::Python][..]),
        (
            &hybrid,
            &[
                Way::Ours,
                Way::OpenSsl,
                Way::Python,
                Way::OurByok,
                Way::PythonByok,
            ],
        ),
    ] {
        for wrapper in wrappers {
            let key = world.external("data-at-rest", &[]);
            let transfer = world.params(&key, way);
            let material = world.material();
            let wrapped = transfer.wrap(*wrapper, &material, None);
            world.check(&transfer, &wrapped).succeeds();
            let receipt = transfer.at("receipt.json");
            world
                .submit(&transfer, &wrapped, &["-O", &receipt])
                .succeeds();
            transfer.verifies(&receipt, &wrapped);
            world.works(&key);
            made += 1;
            let shown = world.version(&key);
            let two_steps = way.contains("hybrid");
            assert_eq!(
                shown["importTwoSteps"].as_bool().unwrap_or(false),
                two_steps,
                "{shown}"
            );
            assert_eq!(shown["origin"], "EXTERNAL", "{shown}");
            assert!(
                shown["importActor"]
                    .as_str()
                    .unwrap()
                    .ends_with("/person/stella"),
                "{shown}"
            );
            let partner = shown["importPartner"].as_str().unwrap_or_default();
            assert_eq!(partner, if two_steps { "" } else { "hcl" });
            let for_people = world
                .cli
                .run(["version", "show", &format!("{key}/1")])
                .succeeds();
            assert_eq!(
                for_people.text().contains("WEAKER"),
                two_steps,
                "{for_people}"
            );
        }
    }
    // Two pairs, and one object for each key that came in: of the ephemeral keys nothing is left.
    assert_eq!(world.objects(), before + 4 + made);
}

/// An exchange key comes in first, through a wrapping key that was made for its class.
#[test]
fn an_exchange_key_comes_in_and_brings_others_in() {
    let world = World::start();
    let way = world.way(
        "first",
        &["--takes", "rsa-oaep-sha1", "--takes-class", "exchange"],
    );
    for mechanism in ["aes-kw", "aes-kwp"] {
        let exchange = world.external("exchange", &["--takes", mechanism]);
        let secret = world.material();
        let transfer = world.params(&exchange, &way);
        let wrapped = transfer.wrap(Way::Ours, &secret, None);
        world.submit(&transfer, &wrapped, &[]).succeeds();
        for wrapper in [Way::Ours, Way::OpenSsl, Way::Python] {
            let key = world.external("data-at-rest", &[]);
            let transfer = world.params(&key, &exchange);
            let wrapped = transfer.wrap(wrapper, &world.material(), Some(&secret));
            world.check(&transfer, &wrapped).succeeds();
            world.submit(&transfer, &wrapped, &[]).succeeds();
            world.works(&key);
        }
        // The exchange key's own material does not come in as another class: nor does any twice.
        let key = world.external("data-at-rest", &[]);
        let transfer = world.params(&key, &exchange);
        let wrapped = transfer.wrap(Way::Ours, &secret, Some(&secret));
        let objects = world.objects();
        world
            .submit(&transfer, &wrapped, &[])
            .fails(6)
            .saying("this very material came in before");
        assert_eq!(
            world.objects(),
            objects,
            "what was recognised is gone again"
        );
    }
}

/// A partner's custodian was told a fingerprint by another route: nothing else is believed.
#[test]
fn nothing_is_wrapped_for_a_key_that_the_right_signer_did_not_sign() {
    let world = World::start();
    let way = world.way("direct", &["--takes", "rsa-oaep-sha1"]);
    let key = world.external("data-at-rest", &[]);
    let transfer = world.params(&key, &way);
    let material = world.material();
    transfer
        .wrap_by(&"0".repeat(64), &material)
        .fails(3)
        .saying("which is not the one you gave");
    // Read out in pairs and capitals it is the same.
    let spelt = transfer.signer.to_uppercase();
    let pairs: Vec<&str> = spelt
        .as_bytes()
        .chunks(2)
        .map(|p| str::from_utf8(p).unwrap())
        .collect();
    transfer.wrap_by(&pairs.join(":"), &material).succeeds();

    // Another key in the place of ours, by whoever carries the files; and our signature no more.
    let path = transfer.at("parameters.json");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(
        &path,
        text.replace("\"two_steps\": false", "\"two_steps\": true "),
    )
    .unwrap();
    transfer
        .wrap_by(&transfer.signer, &material)
        .fails(3)
        .saying("the signature is not that of this key");
    std::fs::write(&path, text).unwrap();
    transfer.wrap_by(&transfer.signer, &material).succeeds();
    // A raw key that others can read, and one that is text.
    let open = transfer.at("open.key");
    std::fs::write(&open, [7; 32]).unwrap();
    transfer
        .wrap_file(&open)
        .fails(11)
        .saying("others can read the raw key");
    transfer
        .wrap_pipe(b"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff")
        .fails(3)
        .saying("not hexadecimal");
    transfer.wrap_pipe(&[9; 32]).succeeds();
}

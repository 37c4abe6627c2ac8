//! What the policy says of weaker wrapping, in production.

use crate::world::World;
use softhsm_tests::{Deployment, program::repository};
use std::path::Path;

/// A deployment under the shipped policy, changed or not.
fn production(policy: &Path) -> World {
    World::of(Deployment::emc2().production().policy(policy).start())
}

fn params(world: &World, way: &str) -> softhsm_tests::Finished {
    let key = world.external("data-at-rest", &[]);
    let directory = world
        .kms
        .directory()
        .join(format!("of-{}", way.replace('/', "-")));
    let arguments = ["import", "params", &key, "--wrapping-key", way, "-O"];
    world
        .cli
        .run(arguments.into_iter().chain([directory.to_str().unwrap()]))
}

const WEAKER: &str = "this wrapping is weaker than the policy allows here";

#[test]
fn sha_1_and_two_steps_are_refused_in_production() {
    let world = production(&repository().join("ops/policy"));
    let direct = world.way("direct", &["--takes", "rsa-oaep-sha1", "--partner", "hcl"]);
    let steps = world.way("steps", &["--takes", "rsa-aes-kwp-sha1", "--two-steps"]);
    let older = world.way("older", &[]);
    params(&world, &direct).fails(4).saying(WEAKER);
    params(&world, &steps).fails(4).saying(WEAKER);
    // One that says nothing is for SHA-256, which this token lacks; asked for SHA-1 it is refused.
    params(&world, &older)
        .fails(3)
        .saying("this HSM does not unwrap RSA-OAEP-SHA256");
    let key = world.external("data-at-rest", &[]);
    let asked = [
        "import",
        "params",
        &key,
        "--wrapping-key",
        &older,
        "-O",
        "none",
    ];
    let asked = asked.into_iter().chain(["--mechanism", "rsa-oaep-sha1"]);
    world.cli.run(asked).fails(4).saying(WEAKER);
    // What the token could never unwrap is not made.
    let arguments = [
        "key",
        "create",
        "lab/native",
        "--class",
        "import-wrapping",
        "--takes",
    ];
    world
        .cli
        .run(arguments.into_iter().chain(["rsa-aes-kwp-sha256"]))
        .fails(3)
        .saying("RsaAesKeyWrap");
}

#[test]
fn a_policy_may_allow_sha_1_for_one_named_partner_and_nobody_else() {
    let directory = tempfile::tempdir().unwrap();
    let shipped = repository().join("ops/policy");
    for name in ["schema.cedarschema", "policy.cedar"] {
        let text = std::fs::read_to_string(shipped.join(name)).unwrap();
        // As the shipped policy's own comment says it.
        let (before, after) = text
            .split_once("@id(\"weaker-wrapping\")")
            .unwrap_or((&text, ""));
        let allowed = "unless { context.environment == \"development\" || (context has partner && \
                       context.partner == \"hcl\" && context has twoSteps && !context.twoSteps) };";
        let after = after.replacen(
            "unless { context.environment == \"development\" };",
            allowed,
            1,
        );
        let text = if after.is_empty() {
            text
        } else {
            format!("{before}@id(\"weaker-wrapping\"){after}")
        };
        std::fs::write(directory.path().join(name), text).unwrap();
    }
    let world = production(directory.path());
    let hcl = world.way("hcl", &["--takes", "rsa-oaep-sha1", "--partner", "hcl"]);
    let lyon = world.way("lyon", &["--takes", "rsa-oaep-sha1", "--partner", "lyon"]);
    let steps = [
        "--takes",
        "rsa-aes-kwp-sha1",
        "--two-steps",
        "--partner",
        "hcl",
    ];
    let steps = world.way("steps", &steps);
    params(&world, &hcl).succeeds();
    params(&world, &lyon).fails(4).saying(WEAKER);
    params(&world, &steps).fails(4).saying(WEAKER);
}

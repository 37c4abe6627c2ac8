//! `kms access`: who is bound to what, what follows from it, and how it ends.

use crate::{WAITS, approve_all, furnished, shows, write};
use softhsm_tests::{Deployment, deployment::SMALL_INVENTORY};

const ZOE: &str = "\
bindings:
  - principal: person/zoe
    aliases: [person/zoe-spare]
    roles: [{role: key-operator}]
";

#[test]
fn somebody_comes_and_somebody_goes() {
    let mut kms = furnished();
    kms.issue("person/zoe");
    kms.kill();
    kms.restart();
    let (hugo, zoe) = (kms.cli("hugo"), kms.cli("zoe"));
    zoe.run(["status"])
        .fails(4)
        .saying("you have no role in this deployment");

    write(&kms, "zoe.yaml", ZOE);
    let plan = hugo
        .run(["policy", "plan", "--bindings", "zoe.yaml"])
        .succeeds();
    shows(
        &plan,
        &[
            "+ person/zoe: key-operator; also called person/zoe-spare",
            "+ person/zoe gains ",
            "CompromiseVersion, StartRewrap on keys in 2 spaces, with 1 approval",
        ],
    );
    let bind = ["access", "bind", "-f", "zoe.yaml", "--reason", "HR 311"];
    hugo.run(bind)
        .fails(WAITS)
        .saying("PutBindings on bindings/person/zoe");
    approve_all(&kms, "carl");
    approve_all(&kms, "carol");
    shows(&hugo.run(bind).succeeds(), &["in force: bindings"]);
    shows(&hugo.run(bind).succeeds(), &["nothing to do"]);
    shows(
        &zoe.run(["status"]).succeeds(),
        &["key-operator", "person/zoe-spare"],
    );

    // What is written is what is read.
    let list = hugo.run(["access", "list"]).succeeds();
    shows(
        &list,
        &["person/zoe", "space-steward on *", "data-service on lab"],
    );
    let exported = hugo.run(["access", "export"]).succeeds().text();
    write(&kms, "all.yaml", &exported);
    let again = ["access", "bind", "-f", "all.yaml", "--reason", "x"];
    shows(&hugo.run(again).succeeds(), &["nothing to do"]);

    // Everybody's rights, three ways; CSV leaves nothing out.
    let ada = kms.cli("ada");
    let review = ada.run(["access", "review"]).succeeds();
    shows(
        &review,
        &["person/zoe", "RotateKey", "keys in 2 spaces", "+2"],
    );
    let keys = ada.run(["access", "review", "--by", "key"]).succeeds();
    shows(
        &keys,
        &["lab/* (data-at-rest)", "person/olivia, person/zoe"],
    );
    let roles = ada.run(["access", "review", "--by", "role"]).succeeds();
    shows(&roles, &["key-custodian", "person/carol", "Approve"]);
    let csv = ada
        .run(["access", "review", "--by", "key", "--csv"])
        .succeeds();
    shows(
        &csv,
        &[
            "on,action,person,approvals\n",
            "spaces/lab/keys/* (data-at-rest),Decrypt,service/notebook,0\n",
            "spaces/lab/keys/* (data-at-rest),CompromiseVersion,person/zoe,1\n",
        ],
    );
    let json = ada
        .run(["access", "review", "-o", "json"])
        .succeeds()
        .json();
    assert!(json["accesses"].as_array().unwrap().len() > 50, "{json}");

    let revoke = ["access", "revoke", "person/zoe", "--reason", "left, HR 312"];
    hugo.run(revoke).fails(WAITS);
    approve_all(&kms, "carl");
    approve_all(&kms, "carol");
    hugo.run(revoke).succeeds();
    zoe.run(["key", "list"])
        .fails(4)
        .saying("you have no role in this deployment");
    shows(&hugo.run(["access", "list"]).succeeds(), &["no role"]);
    hugo.run(["access", "revoke", "person/nobody", "--reason", "x"])
        .fails(5)
        .saying("person/nobody is not bound here");
    // Without a second custodian nobody could be bound any more.
    hugo.run(["access", "revoke", "person/carol", "--reason", "x"])
        .fails(3)
        .saying("lock every officer out");
}

/// What nobody may have together, whatever would bring it: each pair by its reason.
const TOGETHER: [(&str, &str); 15] = [
    (
        "{role: key-operator}, {role: key-custodian}",
        "incompatible",
    ),
    (
        "{role: space-steward, spaces: [warehouse]}, {role: key-custodian}",
        "incompatible",
    ),
    ("{role: hsm-officer}, {role: key-custodian}", "incompatible"),
    // An ingest-service imports, which others must approve.
    (
        "{role: ingest-service, spaces: [ingest-lyon]}, {role: key-custodian}",
        "whoever approves must not ask",
    ),
    (
        "{role: auditor}, {role: data-service, spaces: [warehouse]}",
        "incompatible",
    ),
    (
        "{role: auditor}, {role: ingest-service, spaces: [ingest-lyon]}",
        "incompatible",
    ),
    (
        "{role: auditor}, {role: pseudonymiser, edges: [spaces/warehouse/edges/link]}",
        "incompatible",
    ),
    (
        "{role: auditor}, {role: space-steward, spaces: ['*']}",
        "incompatible",
    ),
    ("{role: auditor}, {role: key-operator}", "incompatible"),
    ("{role: auditor}, {role: key-custodian}", "incompatible"),
    ("{role: auditor}, {role: hsm-officer}", "incompatible"),
    (
        "{role: pseudonymiser, edges: [spaces/warehouse/edges/link]}, {role: data-service, spaces: [warehouse]}",
        "traced back",
    ),
    (
        "{role: pseudonymiser, edges: [spaces/warehouse/edges/link]}, {role: data-reader, spaces: [warehouse]}",
        "traced back",
    ),
    (
        "{role: pseudonymiser, edges: [spaces/warehouse/edges/link, spaces/project-01/edges/warehouse]}",
        "follow each other",
    ),
    (
        "{role: pseudonymiser, edges: [spaces/warehouse/edges/link]}, {role: pseudonymiser, edges: [spaces/project-01/edges/warehouse]}",
        "follow each other",
    ),
];

#[test]
fn what_nobody_may_have_together_is_refused() {
    let kms = Deployment::emc2().start();
    let (hugo, stella) = (kms.cli("hugo"), kms.cli("stella"));
    let bind = |who: &str, roles: &str| {
        let text = format!("bindings:\n  - {{principal: {who}, roles: [{roles}]}}\n");
        write(&kms, "pair.yaml", &text);
        hugo.run(["access", "bind", "-f", "pair.yaml", "--reason", "a test"])
    };
    // Two edges that do not follow each other, as long as they are not there.
    let (both, _) = TOGETHER[13];
    bind("service/two", both).succeeds();
    write(&kms, "small.yaml", SMALL_INVENTORY);
    let apply = ["inventory", "apply", "-f", "small.yaml"];
    let refused = stella.run(apply);
    assert!(!refused.status.success(), "{refused}");
    refused.saying("service/two: ").saying("follow each other");
    bind("service/two", "").succeeds();
    stella.run(apply).succeeds();

    for (roles, why) in TOGETHER {
        let sort = if roles.contains("custodian") {
            "person"
        } else {
            "service"
        };
        bind(&format!("{sort}/both"), roles).fails(3).saying(why);
    }
    // Nor by a policy: in force, the same people may do more.
    let shipped = hugo.run(["policy", "show"]).succeeds().text();
    let readers = format!(
        "{shipped}@id(\"more\") permit (principal, action == Kms::Action::\"Pseudonymise\", resource) \
         when {{ resource in principal.dataReader && context.emergency }};"
    );
    write(&kms, "readers.cedar", &readers);
    hugo.run(["policy", "apply", "-f", "readers.cedar", "--reason", "x"])
        .fails(3)
        .saying("traced back");
    // What does not lead on from there is no pair.
    bind(
        "service/both",
        "{role: pseudonymiser, edges: [spaces/warehouse/edges/link]}, {role: data-service, spaces: [ingest-lyon]}",
    )
    .succeeds();
}

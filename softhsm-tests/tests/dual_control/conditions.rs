//! Conditions that a site adds: from where, and until when. Tried out as cases first, then met on
//! the wire.

use crate::{WAITS, approve_all, furnished, shows, write};
use softhsm_tests::{Cli, Deployment};

/// Data and approvals only from here; rotation in office hours, and never after the contract.
const SITE: &str = r#"
@id("inside")
@advice("connect from the deployment's own network")
forbid (
  principal,
  action in [Kms::Action::"Encrypt", Kms::Action::"GenerateDataKey", Kms::Action::"Approve"],
  resource
)
unless { context has source && context.source.isInRange(ip("127.0.0.0/8")) };

@id("office-hours")
@advice("come back between 7 and 19 UTC")
forbid (principal is Kms::Person, action == Kms::Action::"SuspendVersion", resource)
unless { context.now.toTime() >= duration("7h") && context.now.toTime() < duration("19h") };

@id("contract")
@advice("the contract has ended")
forbid (principal, action == Kms::Action::"RotateKey", resource)
unless { context.now < datetime("2090-01-01") };
"#;

const CASES: &str = "\
cases:
  - {as: service/notebook, can: Encrypt, on: lab/object, from: 127.0.0.1, expect: allowed}
  - {as: service/notebook, can: Encrypt, on: lab/object, from: '::ffff:127.0.0.1', expect: allowed}
  - {as: service/notebook, can: Encrypt, on: lab/object, from: 192.0.2.7, expect: refused}
  - {as: service/notebook, can: Encrypt, on: lab/object, from: '::1', expect: refused}
  - {as: service/notebook, can: Encrypt, on: lab/object, expect: refused}
  - {as: person/carl, can: Approve, on: lab, from: 127.0.0.1, expect: allowed}
  - {as: person/olivia, can: SuspendVersion, on: lab/object, at: 2030-01-01T06:59:59Z, expect: refused}
  - {as: person/olivia, can: SuspendVersion, on: lab/object, at: 2030-01-01T07:00:00Z, expect: allowed}
  - {as: person/olivia, can: SuspendVersion, on: lab/object, at: 2030-01-01T21:00:00+02:00, expect: refused}
  - {as: person/olivia, can: RotateKey, on: lab/object, at: 2089-12-31, expect: allowed}
  - {as: person/olivia, can: RotateKey, on: lab/object, at: 2090-01-01, expect: refused}
";

/// Has a policy agreed to and put into force.
fn apply(kms: &Deployment, hugo: &Cli, file: &str) {
    let apply = ["policy", "apply", "-f", file, "--reason", "the site's own"];
    hugo.run(apply).fails(WAITS);
    approve_all(kms, "carl");
    approve_all(kms, "carol");
    shows(&hugo.run(apply).succeeds(), &["in force: policy"]);
}

#[test]
fn a_site_says_from_where_and_until_when() {
    let kms = furnished();
    let [hugo, olivia, notebook] = ["hugo", "olivia", "notebook"].map(|id| kms.cli(id));
    let shipped = hugo.run(["policy", "show"]).succeeds().text();
    write(&kms, "site.cedar", &format!("{shipped}{SITE}"));
    write(&kms, "cases.yaml", CASES);
    let test = ["policy", "test", "-f", "cases.yaml"];
    let mut candidate = test.to_vec();
    candidate.extend(["--policy", "site.cedar"]);
    shows(&hugo.run(candidate).succeeds(), &["all 11 cases hold"]);
    hugo.run(test).fails(3).saying("6 of 11 cases do not hold");

    // Whoever would shut themselves out is told before anything is proposed.
    let elsewhere = SITE.replace("127.0.0.0/8", "192.0.2.0/24");
    let shut = elsewhere.replace("Kms::Action::\"Approve\"", "Kms::Action::\"PutPolicy\"");
    write(&kms, "shut.cedar", &format!("{shipped}{shut}"));
    hugo.run(["policy", "plan", "-f", "shut.cedar"])
        .fails(3)
        .saying("nobody could ask PutPolicy any more, now and from where you come");

    // On the wire we come from 127.0.0.1, long before 2090.
    apply(&kms, &hugo, "site.cedar");
    shows(&hugo.run(test).succeeds(), &["all 11 cases hold"]);
    write(&kms, "visits.csv", "a,b\n");
    let seal = ["encrypt", "visits.csv", "--key", "lab/object", "--force"];
    notebook.run(seal).succeeds();
    let rotate = ["key", "rotate", "lab/object", "--reason", "yearly"];
    olivia.run(rotate).succeeds();

    // The approvals of those who had to come from here count, and the other way round it is no.
    let over = elsewhere
        .replace(", Kms::Action::\"Approve\"]", "]")
        .replace("context.now < datetime", "context.now >= datetime");
    write(&kms, "over.cedar", &format!("{shipped}{over}"));
    apply(&kms, &hugo, "over.cedar");
    notebook
        .run(seal)
        .fails(4)
        .saying("connect from the deployment's own network");
    olivia.run(rotate).fails(4).saying("the contract has ended");
    let explain = |more: &[&str]| {
        let mut asked = vec!["policy", "explain", "--as", "service/notebook"];
        asked.extend(["--can", "Encrypt", "--on", "lab/object"]);
        asked.extend(more);
        hugo.run(asked).succeeds()
    };
    shows(
        &explain(&["--from", "127.0.0.1"]),
        &["refused", "forbidden as it is by inside"],
    );
    shows(
        &explain(&["--from", "192.0.2.7", "--at", "2027-01-01"]),
        &[
            "allowed:",
            "from   192.0.2.7",
            "at     2027-01-01T00:00:00Z",
        ],
    );
}

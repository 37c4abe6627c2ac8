//! Keys of an authorised study, and the purpose that their users state.

use crate::{furnished, shows, write};
use softhsm_tests::Cli;

const STUDY: &str = "\
keys:
  - {name: lab/cohort, class: data-at-rest, study: {purpose: cardio, ends: 2094-01-01}}
";

#[test]
fn a_key_of_a_study_serves_whoever_states_its_purpose() {
    let kms = furnished();
    let (stella, notebook) = (kms.cli("stella"), kms.cli("notebook"));
    write(&kms, "study.yaml", STUDY);
    let plan = ["inventory", "plan", "-f", "study.yaml"];
    stella
        .run(["inventory", "apply", "-f", "study.yaml"])
        .succeeds();
    shows(&stella.run(plan).succeeds(), &["0 to make, 0 to change"]);
    let shown = stella.run(["key", "show", "lab/cohort"]).succeeds();
    shows(&shown, &["study            cardio, ends 2094-01-01"]);

    write(&kms, "visits.csv", "a,b\n");
    let seal = ["encrypt", "visits.csv", "--key", "lab/cohort", "--force"];
    let sealed = |purpose: &[&str]| {
        let mut arguments = seal.to_vec();
        arguments.extend(purpose);
        notebook.run(arguments)
    };
    sealed(&[]).fails(4).saying("state its purpose (--purpose)");
    sealed(&["--purpose", "oncology"])
        .fails(4)
        .saying("state its purpose");
    sealed(&["--purpose", "Cardio"]).fails(2);
    sealed(&["--purpose", "cardio"]).succeeds();

    // A context may state it once and for all.
    let contexts = std::fs::read_to_string(kms.directory().join("contexts.toml")).unwrap();
    let mark = "[context.notebook]\n";
    assert!(contexts.contains(mark));
    let stated = contexts.replace(mark, &format!("{mark}purpose = \"cardio\"\n"));
    write(&kms, "purpose.toml", &stated);
    let directory = kms.directory().to_owned();
    let always = Cli::new(directory.join("purpose.toml"), "notebook", directory);
    always.run(seal).succeeds();
    shows(
        &always.run(["context", "show"]).succeeds(),
        &["purpose      cardio"],
    );

    // The study is over, or the key is bound to none.
    let update = |what: &[&str]| {
        let mut arguments = vec!["key", "update", "lab/cohort"];
        arguments.extend(what);
        stella.run(arguments)
    };
    update(&["--study", "cardio", "--study-ends", "2024-01-01"]).succeeds();
    always
        .run(seal)
        .fails(4)
        .saying("whether the study has ended");
    update(&["--study", "cardio"]).fails(2);
    update(&["--no-study"]).succeeds();
    sealed(&[]).succeeds();
    let create = [
        "key",
        "create",
        "lab/late",
        "--class",
        "data-at-rest",
        "--study",
        "cardio",
    ];
    stella.run(create).fails(2).saying("--study-ends");

    // Why, for whoever asks.
    update(&["--study", "cardio", "--study-ends", "2094-01-01"]).succeeds();
    let asked = [
        "policy",
        "explain",
        "--as",
        "service/notebook",
        "--can",
        "Decrypt",
        "--on",
        "lab/cohort",
    ];
    let ada = kms.cli("ada");
    shows(
        &ada.run(asked).succeeds(),
        &["refused, whoever agrees", "forbidden as it is by purpose"],
    );
    let mut stated = asked.to_vec();
    stated.extend(["--purpose", "cardio"]);
    shows(
        &ada.run(stated).succeeds(),
        &["allowed:", "purpose  cardio"],
    );
}

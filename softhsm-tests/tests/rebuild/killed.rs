//! SIGKILL between any two steps: what is left is not served, and run again the rebuild goes on where
//! it was.

use crate::{KEY, contents, files, lose, named, values_but_of};
use softhsm_tests::gateway::Gateway;
use softhsm_tests::guard::Guarded;
use softhsm_tests::wait::until;
use softhsm_tests::{Deployment, full};
use std::fs;
use std::path::Path;
use std::process::Stdio;

/// What is there when it is killed.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// The damaged store is set aside.
    Aside,
    /// The new one is begun beside.
    Beside,
    /// It is moved in.
    MovedIn,
    /// The changes log has so many bytes more.
    Recorded(u64),
}

#[test]
fn a_rebuild_that_was_killed_is_run_again() {
    let mut kms = Deployment::emc2().start();
    kms.furnish();
    let etl = Gateway::connect(&mut kms, "lyon-etl");
    let sealed = etl.encrypt(KEY, b"of before", &[]).unwrap();
    drop(etl);
    assert!(kms.terminate().success());
    let before = contents(&kms);
    let step = if full() { 500 } else { 4_000 };
    let mut moments = vec![Moment::Aside, Moment::Beside, Moment::MovedIn];
    moments.extend((0..20_000).step_by(step).map(Moment::Recorded));
    let (mut rotated, mut killed) = (Vec::new(), 0);
    for moment in moments {
        lose(&kms);
        fs::create_dir(kms.data().join("store")).unwrap();
        let recorded = size(&kms.data().join("changes"));
        killed += usize::from(killed_at(&kms, moment, recorded));
        if let Err(refused) = kms.try_restart() {
            let says = ["is not finished", "the store is gone", "no store in"];
            assert!(says.iter().any(|s| refused.log.contains(s)), "{refused}");
        } else {
            assert!(kms.terminate().success());
        }
        let done = kms.rebuild(&[]).succeeds();
        rotated.extend(named(&done.text(), "ROTATED"));
        let after = contents(&kms);
        // What was rotated in a run that was killed is told by none.
        let known: Vec<String> = before
            .keys()
            .filter(|k| k.contains("/keys/"))
            .cloned()
            .collect();
        assert_eq!(
            values_but_of(&after, &known),
            values_but_of(&before, &known),
            "{moment:?}"
        );
        assert!(!after.contains_key("local/rebuild"), "{moment:?}");
    }
    assert!(killed > 3, "it was always quicker");
    kms.restart();
    let etl = Gateway::connect(&mut kms, "lyon-etl");
    assert_eq!(etl.decrypt(KEY, &sealed, &[]).unwrap(), b"of before");
    etl.encrypt(KEY, b"of after", &[]).unwrap();
    drop(etl);
    kms.cli("ada").run(["audit", "verify"]).succeeds();
    assert!(kms.terminate().success());
    kms.doctor(&[]).succeeds();
}

/// Whether it was killed before it had ended.
fn killed_at(kms: &Deployment, moment: Moment, recorded: u64) -> bool {
    let data = kms.data();
    let aside = |number: usize| data.join(format!("store.aside-{number}"));
    let number = (1..).find(|number| !aside(*number).exists()).unwrap();
    let come = || match moment {
        Moment::Aside => aside(number).exists(),
        Moment::Beside => data.join("store.new").exists(),
        Moment::MovedIn => data.join("store/db").exists(),
        Moment::Recorded(more) => size(&data.join("changes")) > recorded + more,
    };
    let mut command = kms.command("rebuild");
    command.arg("--from-audit");
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut rebuild = Guarded::spawn(&mut command, None).unwrap();
    let ended = until("the moment to kill the rebuild", || {
        let ended = rebuild.child().try_wait().unwrap();
        (ended.is_some() || come()).then_some(ended)
    });
    drop(rebuild);
    ended.is_none()
}

fn size(directory: &Path) -> u64 {
    let sizes = files(directory).into_iter();
    sizes
        .map(|file| fs::metadata(file).map_or(0, |m| m.len()))
        .sum()
}

//! The token goes away, comes back, was never there, or does not take the PIN.

use std::fs;
use std::path::PathBuf;

use kms_core::class::Class;
use kms_core::error::Kind;
use kms_core::permit::{Permit, SystemOp};
use kms_pkcs11::Module;
use kms_server::health::Health;
use kms_server::hsm::{Hsm, Pool};
use softhsm_tests::InProcessToken;
use softhsm_tests::hsm_bench::{any, decrypt, encrypt, one, spec};
use softhsm_tests::token::Make;
use softhsm_tests::wait::until;
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::OnToken;

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_goes_away_is_unavailable_at_once_and_comes_back_by_itself() {
    let bench = OnToken::empty(Make::SoftHsm, "outage");
    let hsm = bench.hsm();
    let mut health = hsm.health();
    let key = spec(Class::DataAtRest);
    let learned = hsm.generate(&any(), &key).await.unwrap();
    let sealed = one(hsm, key.id, &learned, encrypt(b"", b"before"))
        .await
        .unwrap();
    for round in 0..3 {
        let gone = Gone::away(&bench.token);
        for op in [encrypt(b"", b"text"), decrypt(b"", &sealed)] {
            let error = one(hsm, key.id, &learned, op).await.unwrap_err();
            assert_eq!(error.kind(), Kind::Unavailable, "{error:?}");
        }
        let down = health
            .wait_for(|health| *health != Health::Serving)
            .await
            .unwrap()
            .clone();
        let Health::Down(why) = down else {
            panic!("{down:?}")
        };
        assert!(
            why.contains("`outage`") && why.contains("by itself"),
            "{why}"
        );
        // Also what needs no key, and what would look like an empty token.
        let random = hsm
            .random(&Permit::system(SystemOp::Random), 8)
            .await
            .unwrap_err();
        assert_eq!(random.kind(), Kind::Unavailable);
        assert_eq!(hsm.objects().await.unwrap_err().kind(), Kind::Unavailable);
        assert_eq!(
            hsm.find(&any(), &key).await.unwrap_err().kind(),
            Kind::Unavailable
        );
        gone.back();
        serving(&mut health).await;
        let opened = one(hsm, key.id, &learned, decrypt(b"", &sealed))
            .await
            .unwrap();
        assert_eq!(*opened, *b"before", "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_token_that_goes_away_is_noticed() {
    let bench = OnToken::empty(Make::SoftHsm, "outage-idle");
    let mut health = bench.hsm().health();
    let gone = Gone::away(&bench.token);
    health
        .wait_for(|health| *health != Health::Serving)
        .await
        .unwrap();
    gone.back();
    serving(&mut health).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_in_flight_end_when_the_token_goes_away() {
    let bench = OnToken::empty(Make::SoftHsm, "outage-load");
    let hsm = bench.hsm();
    let key = spec(Class::DataAtRest);
    let learned = hsm.generate(&any(), &key).await.unwrap();
    let calls = (0..500).map(|_| one(hsm, key.id, &learned, encrypt(b"", b"text")));
    let (outcomes, gone) = tokio::join!(futures::future::join_all(calls), async {
        Gone::away(&bench.token)
    });
    for outcome in &outcomes {
        if let Err(error) = outcome {
            assert_eq!(error.kind(), Kind::Unavailable, "{error:?}");
        }
    }
    gone.back();
    let mut health = hsm.health();
    // Noticed by one of the calls or by the keeper's next look, whichever came first.
    health
        .wait_for(|health| *health == Health::Serving)
        .await
        .unwrap();
    until("the token to answer again", || {
        let call = one(hsm, key.id, &learned, encrypt(b"", b"text"));
        tokio::task::block_in_place(|| Handle::current().block_on(call)).ok()
    });
}

softhsm_tests::on_both! {
    a_session_that_dies_is_replaced_without_restarting_the_library
    a_wrong_pin_is_tried_once_and_never_again
    a_pin_file_that_others_read_is_refused_until_it_is_mended
    a_full_queue_says_so_at_once
    an_answer_that_comes_too_late_is_unknown_and_a_second_look_tells
    stopping_leaves_the_library_to_others
}

async fn a_session_that_dies_is_replaced_without_restarting_the_library(make: Make) {
    let bench = OnToken::empty(make, "outage-session");
    let hsm = bench.hsm();
    let key = spec(Class::DataAtRest);
    let learned = hsm.generate(&any(), &key).await.unwrap();
    // A log-out is the process's, so it takes the rights from the pool's sessions too.
    let outsider = bench.token.outsider();
    outsider.session.logout().unwrap();
    until("the pool to log in again", || {
        let call = one(hsm, key.id, &learned, encrypt(b"", b"text"));
        match tokio::task::block_in_place(|| Handle::current().block_on(call)) {
            Ok(_) => Some(()),
            Err(error) => {
                assert_eq!(error.kind(), Kind::Unavailable, "{error:?}");
                None
            }
        }
    });
    // The outsider's session would be gone if the library had been finalised.
    outsider.session.random(&mut [0; 4]).unwrap();
}

async fn a_wrong_pin_is_tried_once_and_never_again(make: Make) {
    let token = InProcessToken::empty_of(make, "outage-pin");
    token.write_pin("00000000");
    let pool = token.pool();
    let Health::Down(why) = pool.health().borrow().clone() else {
        panic!("it is serving")
    };
    assert!(
        why.contains("refuses the PIN") && why.contains("restart"),
        "{why}"
    );
    assert!(!why.contains("00000000"));
    let refused = pool
        .random(&Permit::system(SystemOp::Random), 8)
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), Kind::Unavailable);
    // It would serve now if it tried again.
    token.write_pin(softhsm_tests::in_process::PIN);
    // That nothing happens can only be watched for a while: it would have by 0.1, 0.3 and 0.7 s.
    let mut health = pool.health();
    let while_watched = std::time::Duration::from_secs(1);
    let tried = tokio::time::timeout(while_watched, health.changed()).await;
    assert!(tried.is_err(), "{:?}", pool.health().borrow());
    pool.stop();
    let again = token.pool();
    assert_eq!(*again.health().borrow(), Health::Serving);
    again.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_not_there_is_named_and_may_come() {
    let token = InProcessToken::empty("outage-absent");
    let gone = Gone::away(&token);
    let pool = token.pool();
    let mut health = pool.health();
    let Health::Down(why) = health.borrow().clone() else {
        panic!("it is serving")
    };
    assert!(
        why.contains("no token is labelled `outage-absent`"),
        "{why}"
    );
    let key = spec(Class::DataAtRest);
    assert_eq!(
        pool.generate(&any(), &key).await.unwrap_err().kind(),
        Kind::Unavailable
    );
    gone.back();
    serving(&mut health).await;
    pool.generate(&any(), &key).await.unwrap();
    pool.stop();
}

#[test]
fn a_module_that_is_not_there_is_named() {
    let token = InProcessToken::empty("outage-module");
    let mut settings = token.settings();
    settings.module = "/nonexistent/module.so".into();
    let error = Pool::start(settings).unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(
        error.message().contains("/nonexistent/module.so"),
        "{error}"
    );
}

async fn a_pin_file_that_others_read_is_refused_until_it_is_mended(make: Make) {
    use std::os::unix::fs::PermissionsExt;
    let token = InProcessToken::empty_of(make, "outage-mode");
    let path = token.settings().pin_file;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let pool = token.pool();
    let mut health = pool.health();
    let Health::Down(why) = health.borrow().clone() else {
        panic!("it is serving")
    };
    assert!(why.contains("chmod it to 600"), "{why}");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    serving(&mut health).await;
    pool.stop();
}

async fn a_full_queue_says_so_at_once(make: Make) {
    let token = InProcessToken::empty_of(make, "outage-queue");
    let mut settings = token.settings();
    (settings.threads, settings.queue) = (1, 1);
    let pool = Pool::start(settings).unwrap();
    // Of four, the one thread takes one for a good part of a second (an RSA pair) and the queue
    // holds one.
    let pairs: Vec<_> = (0..4).map(|_| spec(Class::ImportWrapping)).collect();
    let permit = any();
    let calls = pairs.iter().map(|pair| pool.generate(&permit, pair));
    let outcomes = futures::future::join_all(calls).await;
    let made = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    let exhausted = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
    let exhausted: Vec<_> = exhausted.map(kms_core::error::Error::kind).collect();
    assert!((1..=2).contains(&made), "{made} made");
    assert_eq!(exhausted, vec![Kind::Exhausted; 4 - made]);
    // Exhausted means that nothing was done.
    assert_eq!(pool.objects().await.unwrap().len(), made * 2);
    pool.stop();
}

async fn an_answer_that_comes_too_late_is_unknown_and_a_second_look_tells(make: Make) {
    let token = InProcessToken::empty_of(make, "outage-late");
    let mut settings = token.settings();
    settings.timeout_ms = 5;
    let hasty = Pool::start(settings).unwrap();
    let pair = until("an RSA pair to take more than 5 ms", || {
        let pair = spec(Class::ImportWrapping);
        let permit = any();
        let call = hasty.generate(&permit, &pair);
        let outcome = tokio::task::block_in_place(|| Handle::current().block_on(call));
        outcome
            .is_err_and(|error| error.kind() == Kind::Unknown)
            .then_some(pair)
    });
    hasty.stop();
    let patient = token.pool();
    let found = patient.find(&any(), &pair).await.unwrap();
    assert!(
        found.is_some(),
        "a call that has begun ends, whoever still waits for it"
    );
    assert_eq!(
        patient.generate(&any(), &pair).await.unwrap(),
        found.unwrap()
    );
    patient.stop();
}

async fn stopping_leaves_the_library_to_others(make: Make) {
    let token = InProcessToken::empty_of(make, "outage-stop");
    for _ in 0..3 {
        let pool = token.pool();
        assert_eq!(*pool.health().borrow(), Health::Serving);
        pool.stop();
        let error = pool.objects().await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unavailable);
    }
    let module = Module::load(&token.settings().module).unwrap();
    module.initialize().unwrap();
    module.finalize().unwrap();
}

async fn serving(health: &mut watch::Receiver<Health>) {
    health
        .wait_for(|health| *health == Health::Serving)
        .await
        .unwrap();
}

/// A token whose files are elsewhere for a while.
struct Gone {
    here: PathBuf,
    away: PathBuf,
}

impl Gone {
    fn away(token: &InProcessToken) -> Self {
        let here = token.directory().to_owned();
        let store = here.parent().unwrap().parent().unwrap();
        let away = store.join(format!(
            "away-{}",
            here.file_name().unwrap().to_string_lossy()
        ));
        fs::rename(&here, &away).unwrap();
        Self { here, away }
    }

    fn back(self) {
        drop(self);
    }
}

impl Drop for Gone {
    fn drop(&mut self) {
        fs::rename(&self.away, &self.here).unwrap();
    }
}

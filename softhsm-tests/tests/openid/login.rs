//! `kms login`, run as a real process with a browser that follows where it is sent.

use super::Attack;
use super::person::{Person, Waiting};
use serde_json::Value;
use softhsm_tests::{
    cli::finish,
    issuer::{Behaviour, Signer, now},
};
use std::{fs, os::unix::fs::PermissionsExt as _};

#[test]
fn a_person_signs_in_and_out() {
    let person = Person::new();
    person.behave(|provider| provider.signed_in_before = 100);
    let waiting = person.begin(&[]);
    let callback = person.browser.sent_to(&waiting.url);
    let page = person.browser.follow(&callback);
    assert_eq!(page.status, 200);
    assert!(page.body.contains("you may close this page"), "{page:?}");
    let told = waiting.end().succeeds();
    assert!(
        told.text().starts_with("signed in as olivia, until 20"),
        "{told}"
    );

    // The service takes what is kept, over this certificate alone.
    let sign_in = person.verified().unwrap();
    assert_eq!((sign_in.subject.as_str(), sign_in.strong), ("olivia", true));
    assert!(sign_in.auth_time.seconds() <= now() - 100);
    let kept = person.path("contexts.sign-ins.json");
    assert_eq!(
        fs::metadata(&kept).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let token = person.token().unwrap();
    let signature = token.rsplit('.').next().unwrap();
    assert!(!told.text().contains(signature) && !told.stderr.contains(signature));

    // Nobody listens any more: the same answer cannot come twice.
    assert!(person.browser.get(&callback).is_err());

    person.cli.run(["logout"]).succeeds().saying("signed out");
    assert_eq!(person.token(), None);
    person
        .cli
        .run(["logout"])
        .succeeds()
        .saying("nobody was signed in");
}

#[test]
fn a_program_is_told_in_json() {
    let person = Person::new();
    let told = person.login(&["-o", "json"]).succeeds().json();
    assert_eq!(
        (&told["subject"], &told["context"]),
        (&"olivia".into(), &"olivia".into())
    );
    assert_eq!(told["issuer"], person.desk.issuer.url());
    assert!(told.get("token").is_none());
}

#[test]
fn what_is_asked_for_is_asked_of_the_provider() {
    let person = Person::new();
    let openid = person
        .openid()
        .replace(" }", ", acr_values = [\"mfa\", \"hwk\"] }");
    person.write_contexts(&openid);
    let waiting = person.begin(&["--fresh"]);
    for asked in [
        "response_type=code",
        "scope=openid",
        "client_id=kms",
        "redirect_uri=http%3A%2F%2F127.0.0.1%3A",
        "code_challenge_method=S256",
        "max_age=0",
        "prompt=login",
        "acr_values=mfa+hwk",
    ] {
        assert!(waiting.url.contains(asked), "{asked} in {}", waiting.url);
    }
    person.browser.follow(&waiting.url);
    waiting.end().succeeds();
}

#[test]
fn a_fresh_sign_in_is_fresh() {
    let person = Person::new();
    let signed_in = || now() - person.verified().unwrap().auth_time.seconds();
    // Remembered for a while, and then not any more.
    person.behave(|provider| provider.signed_in_before = 300);
    person.login(&[]).succeeds();
    assert!((300..360).contains(&signed_in()));
    person.login(&["--fresh"]).succeeds();
    assert!(signed_in() < 60);
    person.behave(|provider| provider.signed_in_before = 3600);
    person.login(&[]).succeeds();
    assert!(signed_in() < 60);

    person.behave(|provider| provider.stubborn = true);
    let told = person.login(&["--fresh"]).fails(4);
    told.saying("let an older sign-in pass than was asked for");
}

#[test]
fn a_strangers_answer_is_not_taken_and_ours_still_is() {
    let person = Person::new();
    let waiting = person.begin(&[]);
    let ours = person.browser.sent_to(&waiting.url);
    let place = ours.split('?').next().unwrap();
    let state = ours.split("state=").nth(1).unwrap();
    let state = state.split('&').next().unwrap();
    for strange in [
        ours.replace(state, "another"),
        ours.replace("state=", "status="),
        ours.replace("iss=", "was="),
        ours.replace("iss=https", "iss=http"),
        format!("{ours}&code=another"),
        format!("{place}?state={state}"),
        place.to_owned(),
    ] {
        let page = person.browser.get(&strange).unwrap();
        assert_eq!(page.status, 400, "{strange}");
        assert!(page.body.contains("was not taken"), "{page:?}");
    }
    let favicon = place.replace("callback", "favicon.ico");
    assert_eq!(person.browser.get(&favicon).unwrap().status, 404);
    assert_eq!(person.browser.get(&ours).unwrap().status, 200);
    waiting.end().succeeds();
    assert!(person.verified().is_ok());
}

#[test]
fn a_code_of_another_sign_in_is_worth_nothing() {
    let person = Person::new();
    let code = |url: &str| {
        let code = url.split("code=").nth(1).unwrap();
        code.split('&').next().unwrap().to_owned()
    };
    // A code that has served: the provider does not take it twice.
    let first = person.begin(&[]);
    let served = person.browser.sent_to(&first.url);
    assert_eq!(person.browser.get(&served).unwrap().status, 200);
    first.end().succeeds();
    person.cli.run(["logout"]).succeeds();

    // A code that has not: its verifier is another's (PKCE).
    let thief = person.begin(&[]);
    let stolen = person.browser.sent_to(&thief.url);
    for foreign in [code(&served), code(&stolen)] {
        let waiting = person.begin(&[]);
        let ours = person.browser.sent_to(&waiting.url);
        let injected = ours.replace(&code(&ours), &foreign);
        assert_eq!(person.browser.get(&injected).unwrap().status, 200);
        waiting
            .end()
            .fails(4)
            .saying("gave no tokens (invalid_grant)");
        assert_eq!(person.token(), None);
    }
    let mut child = thief.child;
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn an_id_token_that_is_not_the_answer_is_refused() {
    let attacks: [Attack; 11] = [
        (
            |token| token.claims["nonce"] = "another".into(),
            "does not answer this sign-in",
        ),
        (
            |token| token.forget("nonce"),
            "does not answer this sign-in",
        ),
        (
            |token| token.claims["iss"] = "https://127.0.0.1:1".into(),
            "comes from another issuer",
        ),
        (
            |token| token.claims["aud"] = "portal".into(),
            "is meant for somebody else",
        ),
        (
            |token| token.claims["aud"] = serde_json::json!(["kms", "portal"]),
            "is meant for somebody else",
        ),
        (
            |token| token.claims["azp"] = "portal".into(),
            "was given to another client",
        ),
        (
            |token| token.claims["exp"] = (now() - 1).into(),
            "has expired",
        ),
        (|token| token.forget("auth_time"), "lacks one of"),
        (
            |token| token.header["typ"] = "at+jwt".into(),
            "is a token of another type",
        ),
        (|token| token.signer = None, "has a signature that is not"),
        (
            |token| token.sign_by(Signer::es256("own".to_owned())),
            "is not signed by a key that the OpenID provider shows",
        ),
    ];
    let person = Person::new();
    for (change, sentence) in attacks {
        person.behave(|provider| provider.id_token = Some(Box::new(change)));
        person.login(&[]).fails(4).saying(sentence);
        assert_eq!(person.token(), None);
    }
}

#[test]
fn a_provider_that_refuses_or_is_not_fit_is_told() {
    let person = Person::new();
    person.behave(|provider| provider.refuses = true);
    let told = person.login(&[]).fails(4);
    told.saying("did not let you sign in (access_denied)");

    // Before anybody is troubled: such a token could be used by whoever sees it.
    let login = || person.cli.run(["login", "--no-browser"]);
    for (name, sentence) in [
        (
            "tls_client_certificate_bound_access_tokens",
            "binds access tokens to certificates",
        ),
        (
            "code_challenge_methods_supported",
            "checks code challenges by S256",
        ),
    ] {
        person.behave(|provider| {
            let without = if name.starts_with("tls") {
                false.into()
            } else {
                serde_json::json!(["plain"])
            };
            provider.metadata = vec![(name, without)];
        });
        login().fails(4).saying(sentence);
    }
    person.behave(|provider| provider.metadata = vec![("issuer", "https://elsewhere".into())]);
    login().fails(4).saying("are another issuer's");

    person.behave(|provider| provider.away = true);
    login()
        .fails(8)
        .saying("the OpenID provider gives no answer at https://127.0.0.1:");
    let own = person.openid();
    let other = own.replace(&*person.desk.issuer.authority().to_string_lossy(), "ca.pem");
    person.write_contexts(&other);
    person.behave(|provider| *provider = Behaviour::default());
    login().fails(8).saying("UnknownIssuer");
    person.write_contexts(&own.replace("https:", "http:"));
    login().fails(3).saying("https://host/path");
    person.write_contexts("");
    login().fails(2).saying("does not say where people sign in");
}

#[test]
fn a_browser_is_opened_where_there_is_one() {
    let person = Person::new();
    let opener = person.path("xdg-open");
    let seen = person.path("seen");
    let script = format!(
        "#!/bin/sh\nprintf %s \"$1\" > {0}.new && mv {0}.new {0}\n",
        seen.display()
    );
    fs::write(&opener, script).unwrap();
    fs::set_permissions(&opener, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = person.cli.command(["login"]);
    command.env(
        "PATH",
        format!("{}:/usr/bin:/bin", person.desk.directory.path().display()),
    );
    let waiting = Waiting::new(command);
    let opened = softhsm_tests::wait::until("the browser to be opened", || {
        fs::read_to_string(&seen).ok()
    });
    assert_eq!(opened, waiting.url);
    person.browser.follow(&opened);
    waiting.end().succeeds();
}

#[test]
fn a_sign_in_that_has_ended_or_lies_open_is_not_used() {
    let person = Person::new();
    person.login(&[]).succeeds();
    let kept = person.path("contexts.sign-ins.json");
    let text = fs::read_to_string(&kept).unwrap();
    // Nobody listens at the endpoint: what is said before is said without asking anybody.
    let status = || finish(person.cli.command(["status"]));
    status().fails(8).saying("nobody listens there");

    fs::set_permissions(&kept, fs::Permissions::from_mode(0o640)).unwrap();
    status().fails(11).saying("others can read the sign-ins");
    fs::set_permissions(&kept, fs::Permissions::from_mode(0o600)).unwrap();

    let mut ended: Value = serde_json::from_str(&text).unwrap();
    ended["context"]["olivia"]["expires"] = 1_000.into();
    fs::write(&kept, ended.to_string()).unwrap();
    let told = status().fails(4);
    told.saying("your sign-in ended at 1970-01-01T00:00:01Z; run kms login");

    fs::write(&kept, &text).unwrap();
    person.write_contexts(&person.openid().replace("\"kms\"", "\"portal\""));
    status()
        .fails(4)
        .saying("at another provider; run kms login");
    fs::write(&kept, "{").unwrap();
    status().fails(11).saying("is not a file of kms login");
    fs::remove_file(&kept).unwrap();
    status().fails(8).saying("nobody listens there");
}

//! A whole deployment in production with a provider: who signs in, how, and what it is good for.

use super::{Attack, person::Waiting};
use kms_proto::v1;
use softhsm_tests::{
    Browser, Cli, Deployment, Finished, Issuer,
    channel::connect,
    gateway::reason,
    issuer::{AUDIENCE, CLIENT_ID, Token, now},
    program::repository,
};
use std::{fs, io::Write as _};
use tonic::{Request, Status};
use v1::admin_service_client::AdminServiceClient;

/// A deployment, its provider, and two people who are known there.
struct House {
    kms: Deployment,
    issuer: Issuer,
    browser: Browser,
}

const VERSION: &str = "ingest-lyon/object/1";

impl House {
    fn new() -> Self {
        let issuer = Issuer::start();
        let emc2 = repository().join("ops/emc2/bindings.yaml");
        let mut bindings = fs::read_to_string(emc2).unwrap();
        for id in ["olivia", "carl"] {
            let entry = format!("  - principal: person/{id}\n");
            assert!(bindings.contains(&entry));
            let known = format!(
                "{entry}    openid: {{issuer: {}, subject: {id}}}\n",
                issuer.url()
            );
            bindings = bindings.replace(&entry, &known);
        }
        let mut kms = Deployment::emc2().bindings(&bindings).production().start();
        issuer.admit(&kms.authority().certificate());
        let steward = kms.cli("stella");
        steward
            .run(["space", "create", "ingest-lyon", "--kind", "ingest"])
            .succeeds();
        let key = [
            "key",
            "create",
            "ingest-lyon/object",
            "--class",
            "data-at-rest",
        ];
        steward.run(key).succeeds();

        kms.terminate();
        let file = kms.directory().join("kms-server.toml");
        let mut file = fs::OpenOptions::new().append(true).open(file).unwrap();
        let authority = issuer.authority();
        write!(
            file,
            "\n[openid]\nissuer = {:?}\naudience = \"{AUDIENCE}\"\nclient_id = \"{CLIENT_ID}\"\n\
             authority = {authority:?}\nstrong = {{ acr = [\"mfa\"] }}\n",
            issuer.url(),
        )
        .unwrap();
        kms.restart();
        let browser = Browser::trusting(&authority);
        let mut house = Self {
            kms,
            issuer,
            browser,
        };
        house.write_contexts();
        house
    }

    fn write_contexts(&mut self) {
        let endpoint = self.kms.server().endpoints().url();
        let (issuer, authority) = (self.issuer.url(), self.issuer.authority());
        let text: String = ["olivia", "carl"]
            .map(|id| {
                format!(
                    "[context.{id}]\nendpoint = {endpoint:?}\nca = \"pki/ca.pem\"\n\
                     certificate = \"pki/person-{id}.pem\"\nkey = \"pki/person-{id}.key\"\n\
                     openid = {{ issuer = {issuer:?}, client_id = \"{CLIENT_ID}\", \
                     authority = {authority:?} }}\n"
                )
            })
            .concat();
        fs::write(self.kms.directory().join("people.toml"), text).unwrap();
    }

    fn cli(&self, id: &str) -> Cli {
        let directory = self.kms.directory().to_owned();
        Cli::new(directory.join("people.toml"), id, directory)
    }

    /// Signs in as the person of this id, and may change the access token on its way.
    fn login(&self, id: &str, change: Option<fn(&mut Token)>) {
        self.issuer.behave(|provider| {
            provider.subject = Some(id.to_owned());
            provider.access_token = None;
            if let Some(change) = change {
                provider.access_token = Some(Box::new(change));
            }
        });
        let waiting = Waiting::new(self.cli(id).command(["login", "--no-browser"]));
        self.browser.follow(&waiting.url);
        waiting.end().succeeds();
    }

    fn compromise(&self) -> Finished {
        let leaked = [
            "version",
            "compromise",
            VERSION,
            "--reason",
            "leaked",
            "--yes",
        ];
        self.cli("olivia")
            .run(leaked.into_iter().chain(["-o", "json"]))
    }
}

#[test]
fn what_is_sensitive_takes_a_fresh_and_strong_sign_in_of_the_same_person() {
    let house = House::new();
    const ADVICE: &str = "sign in again, with strong authentication, within the last hour";
    // A certificate alone.
    house.compromise().fails(4).saying(ADVICE);
    // What needs no sign-in is as before.
    house.cli("olivia").run(["status"]).succeeds();

    house.login("olivia", None);
    let waits = house.compromise().fails(12).json();
    let proposal = waits["name"]
        .as_str()
        .unwrap()
        .rsplit('/')
        .next()
        .unwrap()
        .to_owned();

    let agree = [
        "proposal", "approve", &proposal, "--reason", "checked", "--yes",
    ];
    let carl = house.cli("carl");
    carl.run(agree).fails(4).saying(ADVICE);
    let not_enough: [Attack; 4] = [
        (|token| token.claims["acr"] = "pwd".into(), ADVICE),
        (
            |token| token.claims["auth_time"] = (now() - 3700).into(),
            ADVICE,
        ),
        // Somebody else with Carl's certificate: another of ours, and one of nobody's.
        (
            |token| token.claims["sub"] = "olivia".into(),
            "who signed in is not whose certificate",
        ),
        (
            |token| token.claims["sub"] = "mallory".into(),
            "who signed in is not whose certificate",
        ),
    ];
    for (change, sentence) in not_enough {
        house.login("carl", Some(change));
        carl.run(agree).fails(4).saying(sentence);
    }
    house.login("carl", None);
    carl.run(agree).succeeds();
    house
        .cli("olivia")
        .run(["proposal", "execute", &proposal])
        .succeeds();
    let version = house
        .cli("olivia")
        .run(["version", "show", VERSION, "-o", "json"]);
    assert_eq!(version.succeeds().json()["state"], "COMPROMISED");
}

#[test]
fn what_is_shown_must_be_true_whatever_is_asked_with_it_and_is_written_nowhere() {
    let mut house = House::new();
    let identity = house.kms.identity("olivia").clone();
    let certificate = super::thumbprint(&identity.certificate);
    let endpoints = house.kms.server().endpoints().clone();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let channel = runtime.block_on(connect(&endpoints, &identity)).unwrap();
    let ask = |authorization: &str| -> Result<(), Status> {
        let mut request = Request::new(v1::GetDeploymentRequest {});
        let shown = authorization.parse().unwrap();
        request.metadata_mut().insert("authorization", shown);
        let mut admin = AdminServiceClient::new(channel.clone());
        runtime.block_on(admin.get_deployment(request)).map(|_| ())
    };
    let token = |change: fn(&mut Token)| house.issuer.access_token(&certificate, change);
    let good = token(|_| ());
    ask(&format!("Bearer {good}")).unwrap();
    ask(&format!("bearer {good}")).unwrap();
    let unsigned = token(|token| {
        token.header["alg"] = "none".into();
        token.signer = None;
    });
    let unbound = token(|token| token.forget("cnf"));
    for (shown, word) in [
        (format!("Bearer {unsigned}"), "REFUSED"),
        (format!("Bearer {unbound}"), "REFUSED"),
        ("Bearer ".to_owned(), "REFUSED"),
        (format!("Basic {good}"), "INVALID"),
        (good.clone(), "INVALID"),
    ] {
        let refused = ask(&shown).unwrap_err();
        assert_eq!(reason(&refused), word, "{shown}: {refused:?}");
    }

    // A provider that goes away takes nobody's certificate with it.
    house.issuer.behave(|provider| provider.away = true);
    ask(&format!("Bearer {good}")).unwrap();
    house.kms.terminate();
    house.kms.restart();
    house.write_contexts();
    house.cli("olivia").run(["status"]).succeeds();
    softhsm_tests::wait::until("the server to say that its provider is away", || {
        let said = house.kms.log();
        said.contains("the OpenID provider's keys could not be fetched")
            .then_some(())
    });

    // Refusals are in the log of uses; of the tokens nothing is anywhere.
    house.kms.terminate();
    let mut everything = house.kms.log().into_bytes();
    let mut refusals = 0;
    for place in walk(house.kms.data()) {
        let content = fs::read(place).unwrap();
        refusals += count(&content, b"the access token is not bound to a certificate");
        everything.extend(content);
    }
    assert_eq!(refusals, 1);
    for token in [good, unsigned, unbound] {
        for part in token.split('.').skip(1).filter(|part| !part.is_empty()) {
            assert_eq!(count(&everything, part.as_bytes()), 0);
        }
    }
}

#[test]
fn without_a_provider_no_sign_in_is_taken() {
    let issuer = Issuer::start();
    let mut kms = Deployment::emc2().start();
    let identity = kms.identity("olivia").clone();
    let token = issuer.access_token(&super::thumbprint(&identity.certificate), |_| ());
    let endpoints = kms.server().endpoints().clone();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let refused = runtime.block_on(async {
        let channel = connect(&endpoints, &identity).await.unwrap();
        let mut request = Request::new(v1::GetDeploymentRequest {});
        let shown = format!("Bearer {token}").parse().unwrap();
        request.metadata_mut().insert("authorization", shown);
        AdminServiceClient::new(channel)
            .get_deployment(request)
            .await
            .unwrap_err()
    });
    assert_eq!(reason(&refused), "REFUSED");
    assert!(
        refused.message().contains("has no OpenID provider"),
        "{refused:?}"
    );
}

fn walk(directory: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(walk(&path));
        } else {
            found.push(path);
        }
    }
    found
}

fn count(content: &[u8], part: &[u8]) -> usize {
    content
        .windows(part.len())
        .filter(|window| *window == part)
        .count()
}

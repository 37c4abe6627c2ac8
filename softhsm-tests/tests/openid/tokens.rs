//! What a token must be, one demand at a time.

use super::{Attack, Desk, thumbprint};
use data_encoding::BASE64URL_NOPAD;
use kms_core::{Kind, caller::SignIn, time::Time};
use kms_openid::Thumbprint;
use serde_json::{Value, json};
use softhsm_tests::{
    Authority,
    issuer::{Signer, Token, now},
};

#[tokio::test]
async fn a_good_token_says_who_signed_in_when_and_how() {
    let desk = Desk::new();
    let at = now();
    let token = desk.issuer.access_token(&desk.certificate, |token| {
        token.claims["auth_time"] = (at - 100).into();
        token.claims["exp"] = (at + 500).into();
    });
    let told = SignIn {
        issuer: desk.issuer.url().to_owned(),
        subject: "olivia".to_owned(),
        auth_time: Time((at - 100) * 1000),
        expires: Time((at + 500) * 1000),
        strong: true,
    };
    assert_eq!(desk.verify(&token).await.unwrap(), told);

    // An old sign-in or a weak one is told as it is: what it is good for, the policy says.
    let token = desk.issuer.access_token(&desk.certificate, |token| {
        token.claims["auth_time"] = (at - 86_400).into();
        token.claims["acr"] = "pwd".into();
    });
    let old = desk.verify(&token).await.unwrap();
    assert_eq!(
        (old.auth_time, old.strong),
        (Time((at - 86_400) * 1000), false)
    );
}

#[tokio::test]
async fn what_other_providers_do_is_understood() {
    let desk = Desk::new();
    let fine: [fn(&mut Token); 6] = [
        // Its clock is a little ahead.
        |token| {
            token.claims["iat"] = (now() + 30).into();
            token.claims["nbf"] = (now() + 30).into();
        },
        |token| token.forget("nbf"),
        |token| token.claims["aud"] = json!(["account", "https://kms.emc2.example"]),
        |token| {
            token.forget("client_id");
            token.claims["azp"] = "kms".into();
        },
        |token| token.header["typ"] = "application/AT+JWT".into(),
        // Roles are of no interest.
        |token| token.claims["roles"] = json!({ "realm": ["admin"] }),
    ];
    for (number, change) in fine.into_iter().enumerate() {
        let token = desk.issuer.access_token(&desk.certificate, change);
        assert!(desk.verify(&token).await.is_ok(), "{number}");
    }
}

const NOT_SIGNED: &str = "the access token is not a signed token";
const ALGORITHM: &str = "is signed by an algorithm that is not accepted";
const NO_KEY: &str = "is not signed by a key that the OpenID provider shows";
const SIGNATURE: &str = "has a signature that is not the OpenID provider's";
const FORM: &str = "does not have the form that it should";
const LACKS: &str = "lacks one of sub, exp, iat and auth_time";
const CLIENT: &str = "was given to another client";
const TYPE: &str = "is a token of another type";
const UNBOUND: &str = "is not bound to a certificate";

const FORGERIES: [Attack; 11] = [
    (|token| token.signer = None, SIGNATURE),
    (
        |token| {
            token.header["alg"] = "none".into();
            token.signer = None;
        },
        NOT_SIGNED,
    ),
    // A secret of the key set, and of a name that every key set could have.
    (
        |token| token.sign_by(Signer::secret("secret", b"secret")),
        ALGORITHM,
    ),
    // Somebody's own key: of an unknown name, of the right name, brought along.
    (
        |token| token.sign_by(Signer::es256("own".to_owned())),
        NO_KEY,
    ),
    (|token| drop(own_key(token)), SIGNATURE),
    (
        |token| {
            let own = own_key(token);
            token.header["jwk"] = own.shown();
        },
        SIGNATURE,
    ),
    // The right key, by an algorithm that is not its own.
    (|token| token.header["alg"] = "ES384".into(), NO_KEY),
    (|token| token.header["alg"] = "RS256".into(), NO_KEY),
    (|token| token.header["alg"] = "ES512".into(), NOT_SIGNED),
    (
        |token| token.header["kid"] = Value::Null,
        "does not name the key",
    ),
    (
        |token| token.header["crit"] = json!(["b64"]),
        "has critical extensions",
    ),
];

fn own_key(token: &mut Token) -> Signer {
    let id = token.header["kid"].as_str().unwrap().to_owned();
    let own = Signer::es256(id);
    token.sign_by(own.clone());
    own
}

const UNTRUE: [Attack; 24] = [
    (
        |token| token.claims["exp"] = (now() - 3600).into(),
        "has expired",
    ),
    // The end is the end: no skew.
    (
        |token| token.claims["exp"] = (now() - 1).into(),
        "has expired",
    ),
    (
        |token| token.claims["nbf"] = (now() + 3600).into(),
        "is not valid yet",
    ),
    (
        |token| token.claims["iat"] = (now() + 3600).into(),
        "is not valid yet",
    ),
    (
        |token| token.claims["auth_time"] = (now() + 3600).into(),
        "a sign-in that is still to come",
    ),
    (
        |token| token.claims["iss"] = "https://127.0.0.1:1".into(),
        "comes from another issuer",
    ),
    (|token| token.forget("iss"), "comes from another issuer"),
    (
        |token| token.claims["aud"] = "kms".into(),
        "is meant for somebody else",
    ),
    (
        |token| token.claims["aud"] = json!([]),
        "is meant for somebody else",
    ),
    (|token| token.forget("aud"), "is meant for somebody else"),
    (|token| token.claims["client_id"] = "portal".into(), CLIENT),
    (|token| token.claims["azp"] = "portal".into(), CLIENT),
    (|token| token.forget("client_id"), CLIENT),
    (|token| token.forget("exp"), LACKS),
    (|token| token.forget("iat"), LACKS),
    (|token| token.forget("sub"), LACKS),
    (|token| token.forget("auth_time"), LACKS),
    (|token| token.claims["sub"] = "".into(), "names nobody"),
    (|token| token.claims["exp"] = "tomorrow".into(), FORM),
    (|token| token.claims["exp"] = json!(-1), FORM),
    // An ID token, which has the same signer, is no access token.
    (|token| token.header["typ"] = "JWT".into(), TYPE),
    (|token| token.header["typ"] = Value::Null, TYPE),
    (|token| token.forget("cnf"), UNBOUND),
    (|token| token.claims["cnf"] = json!({ "jkt": "x" }), UNBOUND),
];

#[tokio::test]
async fn forged_tokens_are_refused() {
    refused(&FORGERIES).await;
}

#[tokio::test]
async fn tokens_that_say_something_else_are_refused() {
    refused(&UNTRUE).await;
}

async fn refused(attacks: &[Attack]) {
    let desk = Desk::new();
    assert!(desk.verify(&desk.token()).await.is_ok());
    for (change, sentence) in attacks {
        let token = desk.issuer.access_token(&desk.certificate, change);
        let error = desk.verify(&token).await.expect_err(sentence);
        assert!(error.message().contains(sentence), "{sentence}: {error}");
        assert_eq!(error.kind(), Kind::Refused, "{error}");
        let told = format!("{error:?}");
        let parts = token.split('.').filter(|part| !part.is_empty());
        for secret in parts.chain(["olivia", &desk.certificate.to_base64url()]) {
            assert!(!told.contains(secret), "{told} holds {secret}");
        }
    }
}

#[tokio::test]
async fn a_public_key_is_no_secret_of_a_mac() {
    let desk = Desk::new();
    let mut shown = None;
    desk.issuer.rotate(|id| {
        let key = Signer::rsa(jsonwebtoken::Algorithm::RS256)(id);
        shown = Some(key.shown());
        key
    });
    let shown = shown.unwrap();
    assert!(desk.verify(&desk.token()).await.is_ok());
    let text = |name: &str| shown[name].as_str().unwrap().to_owned();
    let modulus = BASE64URL_NOPAD.decode(text("n").as_bytes()).unwrap();
    for secret in [
        modulus,
        text("n").into_bytes(),
        shown.to_string().into_bytes(),
    ] {
        let token = desk.issuer.access_token(&desk.certificate, |token| {
            token.sign_by(Signer::secret(&text("kid"), &secret));
        });
        let error = desk.verify(&token).await.unwrap_err();
        assert!(error.message().contains(ALGORITHM), "{error}");
    }
}

#[tokio::test]
async fn a_token_is_worth_nothing_over_another_connection() {
    let desk = Desk::new();
    let authority = Authority::create(desk.directory.path(), "dev.emc2.example").unwrap();
    let other = thumbprint(&authority.client("person/carl").unwrap().certificate);
    let token = desk.issuer.access_token(&other, |_| ());
    let error = desk.verify(&token).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Refused);
    assert!(
        error.message().contains("bound to another certificate"),
        "{error}"
    );
    // Not the same certificate in another form either: one value has one text.
    let token = desk.issuer.access_token(&desk.certificate, |token| {
        token.claims["cnf"]["x5t#S256"] = desk.certificate.to_hex().into();
    });
    let error = desk.verify(&token).await.unwrap_err();
    assert!(
        error.message().contains("bound to another certificate"),
        "{error}"
    );
    assert_ne!(other, Thumbprint::of(b""));
}

#[tokio::test]
async fn a_token_that_was_changed_is_refused() {
    let desk = Desk::new();
    let token = desk.token();
    let other = desk.issuer.access_token(&desk.certificate, |token| {
        token.claims["acr"] = "other".into();
    });
    let parts = |token: &str| -> Vec<String> { token.split('.').map(str::to_owned).collect() };
    let (own, other) = (parts(&token), parts(&other));
    let said_twice = {
        let claims = BASE64URL_NOPAD.decode(own[1].as_bytes()).unwrap();
        let claims = String::from_utf8(claims).unwrap();
        BASE64URL_NOPAD.encode(claims.replacen('{', "{\"sub\":\"carl\",", 1).as_bytes())
    };
    for (changed, sentence) in [
        (format!("{}.{}.{}", own[0], other[1], own[2]), SIGNATURE),
        (format!("{}.{}.{}", own[0], said_twice, own[2]), SIGNATURE),
        (format!("{}.{}.{}", own[0], own[1], other[2]), SIGNATURE),
        (format!("{}.{}", own[0], own[1]), NOT_SIGNED),
        (format!("{token}.x"), NOT_SIGNED),
        (format!("{token} "), SIGNATURE),
        (token.to_uppercase(), NOT_SIGNED),
        ("a".repeat(20_000), "is longer than any"),
        (String::new(), NOT_SIGNED),
    ] {
        let error = desk.verify(&changed).await.unwrap_err();
        assert!(error.message().contains(sentence), "{sentence}: {error}");
    }
    assert!(desk.verify(&token).await.is_ok());
}

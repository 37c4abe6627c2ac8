//! What the provider answers.

use std::{collections::BTreeMap, convert::Infallible, sync::Arc};

use data_encoding::BASE64URL_NOPAD;
use form_urlencoded::Serializer;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use kms_openid::Thumbprint;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{CLIENT_ID, Granted, Shared, now, token::LIFE};

type Answer = Response<String>;
type Form = BTreeMap<String, String>;

/// One request, over a connection with this certificate.
pub(super) async fn answer(
    shared: &Arc<Shared>,
    certificate: Option<Thumbprint>,
    request: Request<Incoming>,
) -> Result<Answer, Infallible> {
    let (head, body) = request.into_parts();
    let body = body
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes);
    let body = body.unwrap_or_default();
    let answer = match (&head.method, head.uri.path()) {
        (&Method::GET, "/.well-known/openid-configuration") => metadata(shared),
        (&Method::GET, "/keys") => keys(shared),
        (&Method::GET, "/authorize") => authorize(shared, &form(head.uri.query())),
        (&Method::POST, "/token") => {
            let text = String::from_utf8_lossy(&body);
            tokens(shared, certificate, &form(Some(&text)))
        }
        _ => answered(StatusCode::NOT_FOUND, String::new()),
    };
    Ok(answer)
}

fn metadata(shared: &Shared) -> Answer {
    let url = &shared.url;
    let mut all = json!({
        "issuer": url,
        "authorization_endpoint": format!("{url}/authorize"),
        // Only its alias for mutual TLS is there.
        "token_endpoint": format!("{url}/nowhere"),
        "mtls_endpoint_aliases": { "token_endpoint": format!("{url}/token") },
        "jwks_uri": format!("{url}/keys"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "code_challenge_methods_supported": ["S256"],
        "tls_client_certificate_bound_access_tokens": true,
        "authorization_response_iss_parameter_supported": true,
    });
    for (name, value) in &shared.state().behaviour.metadata {
        all[name] = value.clone();
    }
    told(StatusCode::OK, &all)
}

fn keys(shared: &Shared) -> Answer {
    let mut state = shared.state();
    state.asked_for_keys += 1;
    let mut keys: Vec<Value> = state.keys.iter().map(super::Signer::shown).collect();
    // What others have in theirs: keys of no use to us, and one that must never be of any.
    keys.push(
        json!({ "kty": "RSA", "use": "enc", "kid": "for-encryption", "n": "AQ", "e": "AQAB" }),
    );
    keys.push(json!({ "kty": "future", "kid": "from-the-future" }));
    keys.push(json!({ "kty": "oct", "kid": "secret", "k": BASE64URL_NOPAD.encode(b"secret") }));
    told(StatusCode::OK, &json!({ "keys": keys }))
}

/// Approves at once, in the name of whoever is to come.
fn authorize(shared: &Shared, asked: &Form) -> Answer {
    let value = |name: &str| asked.get(name).map_or("", String::as_str);
    let redirect = value("redirect_uri").to_owned();
    // RFC 8252, section 7.3: any port of loopback.
    let right = value("client_id") == CLIENT_ID
        && redirect.starts_with("http://127.0.0.1:")
        && value("response_type") == "code"
        && value("scope").split(' ').any(|scope| scope == "openid")
        && value("code_challenge_method") == "S256";
    if !right {
        return answered(StatusCode::BAD_REQUEST, "not what a client asks".to_owned());
    }
    let mut state = shared.state();
    let mut pairs = vec![
        ("state", value("state").to_owned()),
        ("iss", shared.url.clone()),
    ];
    if state.behaviour.refuses {
        pairs.push(("error", "access_denied".to_owned()));
    } else {
        let before = state.behaviour.signed_in_before;
        let most = value("max_age").parse().unwrap_or(u64::MAX);
        let again = !state.behaviour.stubborn && (before > most || value("prompt") == "login");
        let code = state.next("code");
        state.codes.insert(
            code.clone(),
            Granted {
                challenge: value("code_challenge").to_owned(),
                redirect: redirect.clone(),
                nonce: value("nonce").to_owned(),
                auth_time: now() - if again { 0 } else { before },
            },
        );
        pairs.push(("code", code));
    }
    let query = Serializer::new(String::new()).extend_pairs(pairs).finish();
    let mut answer = answered(StatusCode::FOUND, String::new());
    let place = HeaderValue::try_from(format!("{redirect}?{query}")).expect("an address");
    answer.headers_mut().insert(header::LOCATION, place);
    answer
}

/// A code serves once, to whoever has its verifier, over mutual TLS.
fn tokens(shared: &Shared, certificate: Option<Thumbprint>, asked: &Form) -> Answer {
    let refused = |error: &str| told(StatusCode::BAD_REQUEST, &json!({ "error": error }));
    let value = |name: &str| asked.get(name).map_or("", String::as_str);
    let Some(certificate) = certificate else {
        return refused("invalid_client");
    };
    if value("client_id") != CLIENT_ID || value("grant_type") != "authorization_code" {
        return refused("invalid_request");
    }
    let mut state = shared.state();
    let Some(granted) = state.codes.remove(value("code")) else {
        return refused("invalid_grant");
    };
    let shown = BASE64URL_NOPAD.encode(&Sha256::digest(value("code_verifier").as_bytes()));
    if shown != granted.challenge || value("redirect_uri") != granted.redirect {
        return refused("invalid_grant");
    }
    let mut access = state.access_token(&shared.url, Some(&certificate), granted.auth_time);
    if let Some(change) = &state.behaviour.access_token {
        change(&mut access);
    }
    let mut identity = state.id_token(&shared.url, &granted);
    if let Some(change) = &state.behaviour.id_token {
        change(&mut identity);
    }
    let all = json!({
        "token_type": "Bearer",
        "expires_in": LIFE,
        "access_token": access.signed(),
        "id_token": identity.signed(),
    });
    told(StatusCode::OK, &all)
}

fn form(text: Option<&str>) -> Form {
    form_urlencoded::parse(text.unwrap_or_default().as_bytes())
        .into_owned()
        .collect()
}

fn told(status: StatusCode, value: &Value) -> Answer {
    let mut answer = answered(status, value.to_string());
    let json = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(header::CONTENT_TYPE, json);
    answer
}

fn answered(status: StatusCode, body: String) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    answer
}

//! Tokens before they are signed.

use data_encoding::BASE64URL_NOPAD;
use kms_openid::Thumbprint;
use serde_json::{Value, json};

use super::{AUDIENCE, CLIENT_ID, Granted, Signer, State, now};

/// A token that can still be changed.
#[derive(Debug, Clone)]
pub struct Token {
    /// The JOSE header.
    pub header: Value,
    /// What it says.
    pub claims: Value,
    /// Who signs it; nobody leaves the signature empty.
    pub signer: Option<Signer>,
}

/// How long a token lives, in seconds.
pub(super) const LIFE: u64 = 600;

impl Token {
    fn new(typ: &str, claims: Value, signer: &Signer) -> Self {
        let alg = format!("{:?}", signer.algorithm());
        Self {
            header: json!({ "typ": typ, "alg": alg, "kid": signer.id() }),
            claims,
            signer: Some(signer.clone()),
        }
    }

    /// Another key signs, and the header says so.
    pub fn sign_by(&mut self, signer: Signer) {
        self.header["alg"] = format!("{:?}", signer.algorithm()).into();
        self.header["kid"] = signer.id().into();
        self.signer = Some(signer);
    }

    /// Takes a claim away.
    pub fn forget(&mut self, claim: &str) {
        if let Some(claims) = self.claims.as_object_mut() {
            claims.remove(claim);
        }
    }

    /// The compact form (RFC 7515, section 7.1).
    pub fn signed(&self) -> String {
        let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
        let message = format!("{}.{}", part(&self.header), part(&self.claims));
        let signature = self.signer.as_ref().map(|signer| signer.sign(&message));
        format!("{message}.{}", signature.unwrap_or_default())
    }
}

impl State {
    /// For the service.
    pub(super) fn access_token(
        &mut self,
        issuer: &str,
        certificate: Option<&Thumbprint>,
        auth_time: u64,
    ) -> Token {
        let mut claims = self.claims(issuer, auth_time);
        claims["aud"] = AUDIENCE.into();
        claims["client_id"] = CLIENT_ID.into();
        claims["jti"] = self.next("token").into();
        if let Some(certificate) = certificate {
            claims["cnf"] = json!({ "x5t#S256": certificate.to_base64url() });
        }
        Token::new("at+jwt", claims, self.signing())
    }

    /// For the client.
    pub(super) fn id_token(&mut self, issuer: &str, granted: &Granted) -> Token {
        let mut claims = self.claims(issuer, granted.auth_time);
        claims["aud"] = CLIENT_ID.into();
        claims["nonce"] = granted.nonce.as_str().into();
        Token::new("JWT", claims, self.signing())
    }

    fn claims(&self, issuer: &str, auth_time: u64) -> Value {
        json!({
            "iss": issuer,
            "sub": self.behaviour.subject.as_deref().unwrap_or("olivia"),
            "iat": now(),
            "nbf": now(),
            "exp": now() + LIFE,
            "auth_time": auth_time,
            "acr": "mfa",
            "amr": ["pwd", "hwk"],
        })
    }

    fn signing(&self) -> &Signer {
        self.keys.last().expect("a provider has a key")
    }
}

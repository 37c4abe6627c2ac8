//! Whatever a stranger sends, there is an answer and no panic.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use crate::{HttpsUrl, Keys, Sealed, Sort};
use data_encoding::BASE64URL_NOPAD;
use proptest::prelude::*;

const KEYS: &str = r#"{"keys":[
  {"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
  {"kty":"OKP","crv":"Ed25519","kid":"twice","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
  {"kty":"OKP","crv":"Ed25519","kid":"twice","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
  {"kty":"oct","kid":"secret","k":"c2VjcmV0"},
  {"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
  {"kty":"RSA","kid":"enc","use":"enc","n":"AQ","e":"AQAB"},
  {"kty":"RSA","kid":"oaep","alg":"RSA-OAEP","n":"AQ","e":"AQAB"},
  {"kty":"EC","crv":"P-521","kid":"p521","x":"AQ","y":"AQ"},
  17
]}"#;

fn token(header: &str) -> String {
    format!("{}.e30.AA", BASE64URL_NOPAD.encode(header.as_bytes()))
}

#[test]
fn only_keys_for_our_signatures_are_known() {
    let keys = Keys::read(KEYS.as_bytes()).unwrap();
    let known = |kid: &str| {
        let text = token(&format!(
            r#"{{"alg":"EdDSA","typ":"at+jwt","kid":"{kid}"}}"#
        ));
        keys.know(&Sealed::read(&text, Sort::Access).unwrap())
    };
    assert!(known("a") && known("twice"));
    for kid in ["secret", "enc", "oaep", "p521", "", "A"] {
        assert!(!known(kid), "{kid}");
    }
    for wrong in ["", "{}", "[]", r#"{"keys":1}"#] {
        assert!(Keys::read(wrong.as_bytes()).is_none(), "{wrong}");
    }
}

#[test]
fn two_keys_of_one_name_are_no_key() {
    let keys = Keys::read(KEYS.as_bytes()).unwrap();
    let told = |kid: &str| {
        let text = token(&format!(
            r#"{{"alg":"EdDSA","typ":"at+jwt","kid":"{kid}"}}"#
        ));
        let sealed = Sealed::read(&text, Sort::Access).unwrap();
        keys.open(&sealed).unwrap_err().message().to_owned()
    };
    assert!(told("a").contains("has a signature that is not"));
    assert!(told("twice").contains("is not signed by a key that the OpenID provider shows"));
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in any::<String>(), header in any::<String>()) {
        let keys = Keys::read(KEYS.as_bytes()).unwrap();
        for text in [text, token(&header)] {
            for sort in [Sort::Access, Sort::Identity] {
                if let Ok(sealed) = Sealed::read(&text, sort) {
                    prop_assert!(keys.open(&sealed).is_err());
                }
            }
            if let Ok(url) = text.parse::<HttpsUrl>() {
                prop_assert_eq!(url.to_string(), text);
            }
        }
    }
}

#[test]
fn any_header_member_is_read_or_refused() {
    const REST: &str = r#""alg":"EdDSA","typ":"at+jwt","kid":"a""#;
    let keys = Keys::read(KEYS.as_bytes()).unwrap();
    for name in [
        "alg", "typ", "kid", "crit", "jwk", "jku", "x5c", "zip", "b64",
    ] {
        for value in [
            "null",
            "1",
            "true",
            r#""""#,
            r#""none""#,
            r#""at+jwt""#,
            r#""HS256""#,
            "[]",
            "{}",
        ] {
            for header in [
                format!("{{{REST},\"{name}\":{value}}}"),
                format!("{{\"{name}\":{value}}}"),
            ] {
                let text = token(&header);
                let opened = Sealed::read(&text, Sort::Access).and_then(|it| keys.open(&it));
                assert!(opened.is_err(), "{header}");
            }
        }
    }
}

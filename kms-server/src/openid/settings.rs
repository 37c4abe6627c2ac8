//! `[openid]` of the configuration.

use kms_openid::{Claims, HttpsUrl};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

/// The provider, and what its tokens must say. `ops/kms-server.toml` explains each entry.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// `iss` of its tokens, exactly; its metadata are found under it.
    #[serde(deserialize_with = "issuer")]
    pub issuer: HttpsUrl,
    /// `aud`: what the provider calls this service.
    pub audience: String,
    /// `client_id` or `azp`: what it calls the command line.
    pub client_id: String,
    /// The authorities of its own certificate, PEM.
    pub authority: PathBuf,
    /// What counts as strong authentication.
    pub strong: Strong,
    /// How far its clock may be ahead of ours.
    #[serde(
        default = "a_minute",
        rename = "clock_skew_seconds",
        deserialize_with = "skew"
    )]
    pub clock_skew: Duration,
}

/// What counts as strong authentication: one of these classes, or all methods of one of these sets.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Written")]
pub struct Strong {
    acr: BTreeSet<String>,
    amr: Vec<BTreeSet<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    acr: BTreeSet<String>,
    #[serde(default)]
    amr: Vec<BTreeSet<String>>,
}

impl Strong {
    /// Whether a token shows it.
    pub(super) fn shown_by(&self, claims: &Claims) -> bool {
        let class = claims.acr().is_some_and(|acr| self.acr.contains(acr));
        let used: BTreeSet<&str> = claims.amr().iter().map(String::as_str).collect();
        let methods = |set: &BTreeSet<String>| set.iter().all(|one| used.contains(one.as_str()));
        class || self.amr.iter().any(methods)
    }
}

impl TryFrom<Written> for Strong {
    type Error = &'static str;
    fn try_from(written: Written) -> Result<Self, Self::Error> {
        if written.acr.is_empty() && written.amr.is_empty() {
            return Err("openid.strong names neither acr nor amr: nobody could ever be strong");
        }
        // An empty set would make everybody strong.
        if written.amr.iter().any(BTreeSet::is_empty) {
            return Err("a set of openid.strong.amr has at least one method");
        }
        Ok(Strong {
            acr: written.acr,
            amr: written.amr,
        })
    }
}

fn issuer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<HttpsUrl, D::Error> {
    let text = String::deserialize(deserializer)?;
    let url: HttpsUrl = text.parse().map_err(serde::de::Error::custom)?;
    if url.has_query() {
        return Err(serde::de::Error::custom("an issuer has no query"));
    }
    Ok(url)
}

fn a_minute() -> Duration {
    Duration::from_secs(60)
}

/// Beyond this a clock is wrong, not askew.
const MOST_SKEW: u64 = 300;

fn skew<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let seconds = u64::deserialize(deserializer)?;
    if seconds > MOST_SKEW {
        return Err(serde::de::Error::custom(
            "openid.clock_skew_seconds is at most 300: mend the clock",
        ));
    }
    Ok(Duration::from_secs(seconds))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn read(changed: &str, to: &str) -> Result<Settings, toml::de::Error> {
        let right = "issuer = \"https://id.example/realm\"\naudience = \"kms\"\nclient_id = \"cli\"\n\
             authority = \"ca.pem\"\nstrong = { acr = [\"gold\"], amr = [[\"pwd\", \"otp\"]] }\n\
             clock_skew_seconds = 10\n";
        assert!(right.contains(changed));
        toml::from_str(&right.replace(changed, to))
    }

    #[test]
    fn what_is_written_is_read() {
        let settings = read("", "").unwrap();
        assert_eq!(settings.issuer.as_str(), "https://id.example/realm");
        assert_eq!(settings.clock_skew, Duration::from_secs(10));
        let settings = read("clock_skew_seconds = 10\n", "").unwrap();
        assert_eq!(settings.clock_skew, Duration::from_secs(60));
    }

    #[test]
    fn the_manual_is_right() {
        let manual = include_str!("../../../ops/kms-server.toml");
        let block = manual.split("#[openid]\n").nth(1).unwrap();
        let written: Vec<&str> = block
            .lines()
            .map_while(|line| line.strip_prefix('#'))
            .filter(|line| !line.starts_with(' '))
            .collect();
        let settings: Settings = toml::from_str(&written.join("\n")).unwrap();
        assert_eq!(settings.client_id, "kms");
        assert_eq!(settings.clock_skew, a_minute());
    }

    #[test]
    fn settings_that_could_not_work_are_refused() {
        for (changed, to, told) in [
            ("https://", "http://", "https://host/path"),
            ("/realm", "/realm?a=b", "no query"),
            (
                "acr = [\"gold\"], amr = [[\"pwd\", \"otp\"]]",
                "",
                "nobody could ever be strong",
            ),
            ("[\"pwd\", \"otp\"]", "[]", "at least one method"),
            ("seconds = 10", "seconds = 301", "at most 300"),
            ("audience", "audiance", "unknown field"),
        ] {
            let refused = read(changed, to).unwrap_err().to_string();
            assert!(refused.contains(told), "{refused}");
        }
    }

    #[test]
    fn strong_is_a_class_or_every_method_of_a_set() {
        let strong = read("", "").unwrap().strong;
        for (claims, shown) in [
            (r#"{"acr":"gold"}"#, true),
            (r#"{"acr":"silver","amr":["otp","pwd","mfa"]}"#, true),
            (r#"{"acr":"silver","amr":["pwd"]}"#, false),
            (r#"{"amr":["gold"]}"#, false),
            ("{}", false),
        ] {
            let claims: Claims = serde_json::from_str(claims).unwrap();
            assert_eq!(strong.shown_by(&claims), shown);
        }
    }
}

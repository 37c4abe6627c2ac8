//! Resource names, short and full.
//!
//! A person writes `ingest-lyon/object/3`; the interface says
//! `spaces/ingest-lyon/keys/object/versions/3`. Both are read here, and judged as the service
//! judges them ([`kms_core::name`]): a mistyped name is told before anybody is asked.

use crate::{Error, Kind};
use kms_core::name::{
    DestinationName, DomainName, EdgeName, EmergencyName, KeyName, ProposalName, SpaceName,
    VersionName,
};
use kms_core::value::DEPLOYMENT;
use std::str::FromStr;

/// `ingest-lyon` or `spaces/ingest-lyon`.
///
/// # Errors
/// [`Kind::Usage`] when the text is no such name; so for all functions here.
pub fn space(text: &str) -> Result<String, Error> {
    judged::<SpaceName>(text, full(text, &["spaces"], "a space", "ingest-lyon")?)
}

/// `link` or `domains/link`.
///
/// # Errors
/// As [`space`].
pub fn domain(text: &str) -> Result<String, Error> {
    judged::<DomainName>(
        text,
        full(text, &["domains"], "an identifier domain", "link")?,
    )
}

/// `warehouse/link` (target, then domain) or `spaces/warehouse/edges/link`.
///
/// # Errors
/// As [`space`].
pub fn edge(text: &str) -> Result<String, Error> {
    judged::<EdgeName>(
        text,
        full(text, &["spaces", "edges"], "an edge", "warehouse/link")?,
    )
}

/// `ingest-lyon/object` or `spaces/ingest-lyon/keys/object`.
///
/// # Errors
/// As [`space`].
pub fn key(text: &str) -> Result<String, Error> {
    judged::<KeyName>(
        text,
        full(text, &["spaces", "keys"], "a key", "ingest-lyon/object")?,
    )
}

/// As [`key`]; `-` stands for every key, or for every space: `ingest-lyon/-`, `-/-`.
///
/// # Errors
/// As [`space`].
pub fn keys(text: &str) -> Result<String, Error> {
    if text == "-/-" {
        return Ok("spaces/-/keys/-".to_owned());
    }
    match text.strip_suffix("/-") {
        Some(of) => Ok(format!(
            "{}/keys/-",
            space(of.strip_suffix("/keys").unwrap_or(of))?
        )),
        None => key(text),
    }
}

/// `ingest-lyon/object/3` or `spaces/ingest-lyon/keys/object/versions/3`.
///
/// # Errors
/// As [`space`].
pub fn version(text: &str) -> Result<String, Error> {
    let collections = ["spaces", "keys", "versions"];
    judged::<VersionName>(
        text,
        full(text, &collections, "a version", "ingest-lyon/object/3")?,
    )
}

/// What can be attested: a version (as [`version`]) or a space (as [`space`]).
///
/// # Errors
/// As [`space`].
pub fn destroyed(text: &str) -> Result<String, Error> {
    let words = text.split('/').count();
    match words {
        1 => space(text),
        2 if text.starts_with("spaces/") => space(text),
        _ => version(text),
    }
}

/// `p3k9a7xq2m` or `proposals/p3k9a7xq2m`.
///
/// # Errors
/// As [`space`].
pub fn proposal(text: &str) -> Result<String, Error> {
    judged::<ProposalName>(
        text,
        full(text, &["proposals"], "a proposal", "p3k9a7xq2m")?,
    )
}

/// `e7c2m4hx0q` or `emergencies/e7c2m4hx0q`.
///
/// # Errors
/// As [`space`].
pub fn emergency(text: &str) -> Result<String, Error> {
    judged::<EmergencyName>(
        text,
        full(text, &["emergencies"], "an emergency", "e7c2m4hx0q")?,
    )
}

/// `other-hsm` or `destinations/other-hsm`.
///
/// # Errors
/// As [`space`].
pub fn destination(text: &str) -> Result<String, Error> {
    judged::<DestinationName>(
        text,
        full(text, &["destinations"], "a destination", "other-hsm")?,
    )
}

/// Whatever a policy is asked about: `deployment`, a space (`ingest-lyon`), a key
/// (`ingest-lyon/object`), a version (`ingest-lyon/object/3`), or anything by its full name, as an
/// edge (`spaces/warehouse/edges/link`) and a domain (`domains/link`) must be.
///
/// # Errors
/// As [`space`].
pub fn resource(text: &str) -> Result<String, Error> {
    let words = text.split('/').count();
    match words {
        _ if text == DEPLOYMENT => Ok(text.to_owned()),
        _ if text.starts_with("domains/") => domain(text),
        _ if text.contains("/edges/") => edge(text),
        1 => space(text),
        2 if text.starts_with("spaces/") => space(text),
        3 | 6 => version(text),
        _ => key(text),
    }
}

/// The short form of a full name: every second word of it.
#[must_use]
pub fn short(name: &str) -> String {
    let words: Vec<&str> = name.split('/').skip(1).step_by(2).collect();
    words.join("/")
}

fn judged<N: FromStr<Err = kms_core::Error>>(text: &str, name: String) -> Result<String, Error> {
    match name.parse::<N>() {
        Ok(_) => Ok(name),
        Err(e) => Err(Error::new(Kind::Usage, format!("{text:?}: {e}"))),
    }
}

fn full(text: &str, collections: &[&str], what: &str, example: &str) -> Result<String, Error> {
    let words: Vec<&str> = text.split('/').collect();
    let is_full = words.len() == 2 * collections.len()
        && words
            .iter()
            .step_by(2)
            .zip(collections)
            .all(|(word, collection)| word == collection);
    let ids: Vec<&str> = if is_full {
        words.into_iter().skip(1).step_by(2).collect()
    } else {
        words
    };
    if ids.len() != collections.len() || ids.iter().any(|id| id.is_empty()) {
        let form: Vec<String> = collections
            .iter()
            .map(|collection| format!("{collection}/…"))
            .collect();
        return Err(Error::new(
            Kind::Usage,
            format!(
                "{text:?} does not name {what}: write {example}, or {}",
                form.join("/")
            ),
        ));
    }
    let pairs: Vec<String> = collections
        .iter()
        .zip(ids)
        .map(|(collection, id)| format!("{collection}/{id}"))
        .collect();
    Ok(pairs.join("/"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn both_forms_give_the_full_name() {
        for text in ["a/b/3", "spaces/a/keys/b/versions/3"] {
            assert_eq!(version(text).unwrap(), "spaces/a/keys/b/versions/3");
        }
        for text in ["warehouse/link", "spaces/warehouse/edges/link"] {
            assert_eq!(edge(text).unwrap(), "spaces/warehouse/edges/link");
        }
        assert_eq!(key("a/b").unwrap(), "spaces/a/keys/b");
        assert_eq!(space("spaces/a").unwrap(), "spaces/a");
        assert_eq!(domain("link").unwrap(), "domains/link");
        assert_eq!(short("spaces/a/keys/b/versions/3"), "a/b/3");
    }

    #[test]
    fn what_the_service_would_refuse_is_refused_here() {
        for text in ["Ingest/object", "ingest/object_1", "ingest/-", "-/object"] {
            assert_eq!(key(text).unwrap_err().kind(), Kind::Usage, "{text}");
        }
        assert!(version("a/b/03").is_err() && version("a/b/x").is_err());
    }

    #[test]
    fn a_dash_stands_for_all() {
        assert_eq!(keys("-/-").unwrap(), "spaces/-/keys/-");
        assert_eq!(keys("a/-").unwrap(), "spaces/a/keys/-");
        assert_eq!(keys("spaces/a/keys/-").unwrap(), "spaces/a/keys/-");
        assert_eq!(keys("a/b").unwrap(), "spaces/a/keys/b");
        assert!(keys("-/b").is_err() && keys("-").is_err());
    }

    #[test]
    fn what_a_policy_is_asked_about_is_told_by_its_shape() {
        for (text, name) in [
            ("deployment", "deployment"),
            ("a", "spaces/a"),
            ("spaces/a", "spaces/a"),
            ("a/b", "spaces/a/keys/b"),
            ("spaces/a/keys/b", "spaces/a/keys/b"),
            ("a/b/3", "spaces/a/keys/b/versions/3"),
            ("spaces/a/keys/b/versions/3", "spaces/a/keys/b/versions/3"),
            ("spaces/a/edges/b", "spaces/a/edges/b"),
            ("domains/b", "domains/b"),
        ] {
            assert_eq!(resource(text).unwrap(), name, "{text}");
        }
        assert!(resource("").is_err() && resource("proposals/p1/x/y").is_err());
        assert_eq!(proposal("p1").unwrap(), proposal("proposals/p1").unwrap());
        assert_eq!(emergency("e1").unwrap(), "emergencies/e1");
    }

    #[test]
    fn another_shape_is_refused_with_an_example() {
        for text in [
            "",
            "a",
            "a/",
            "/b",
            "a/b/c",
            "spaces/a/keys/b/versions/3",
            "spaces/a/edges/b",
        ] {
            let refused = key(text).unwrap_err();
            assert_eq!(refused.kind(), Kind::Usage, "{text}");
            assert!(
                refused.to_string().contains("ingest-lyon/object"),
                "{refused}"
            );
        }
    }
}

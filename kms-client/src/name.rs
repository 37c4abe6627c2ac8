//! Resource names, short and full.
//!
//! A person writes `ingest-lyon/object/3`; the interface says
//! `spaces/ingest-lyon/keys/object/versions/3`. Both are read here; the service judges whether the
//! words are allowed.

use crate::{Error, Kind};

/// `ingest-lyon` or `spaces/ingest-lyon`.
///
/// # Errors
/// [`Kind::Usage`] when the text has another shape; so for all functions here.
pub fn space(text: &str) -> Result<String, Error> {
    full(text, &["spaces"], "a space", "ingest-lyon")
}

/// `link` or `domains/link`.
///
/// # Errors
/// As [`space`].
pub fn domain(text: &str) -> Result<String, Error> {
    full(text, &["domains"], "an identifier domain", "link")
}

/// `warehouse/link` (target, then domain) or `spaces/warehouse/edges/link`.
///
/// # Errors
/// As [`space`].
pub fn edge(text: &str) -> Result<String, Error> {
    full(text, &["spaces", "edges"], "an edge", "warehouse/link")
}

/// `ingest-lyon/object` or `spaces/ingest-lyon/keys/object`.
///
/// # Errors
/// As [`space`].
pub fn key(text: &str) -> Result<String, Error> {
    full(text, &["spaces", "keys"], "a key", "ingest-lyon/object")
}

/// `ingest-lyon/object/3` or `spaces/ingest-lyon/keys/object/versions/3`.
///
/// # Errors
/// As [`space`].
pub fn version(text: &str) -> Result<String, Error> {
    full(
        text,
        &["spaces", "keys", "versions"],
        "a version",
        "ingest-lyon/object/3",
    )
}

/// The short form of a full name: every second word of it.
#[must_use]
pub fn short(name: &str) -> String {
    let words: Vec<&str> = name.split('/').skip(1).step_by(2).collect();
    words.join("/")
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

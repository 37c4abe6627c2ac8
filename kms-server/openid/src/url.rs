//! An address of the provider.

use http::Uri;
use kms_core::error::{Error, Result};
use rustls_pki_types::ServerName;
use std::fmt;
use std::str::FromStr;

/// An absolute `https` URL without user name and fragment.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpsUrl {
    text: String,
    host: ServerName<'static>,
    authority: String,
    address: String,
    port: u16,
    target: String,
}

impl HttpsUrl {
    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The same with more path: what stands under it.
    ///
    /// # Errors
    /// When this one has a query, or the result is no URL.
    pub fn under(&self, path: &str) -> Result<Self> {
        if self.has_query() {
            return Err(Error::invalid("url", format!("{self} must have no query")));
        }
        format!("{}/{path}", self.text.trim_end_matches('/')).parse()
    }

    /// The same with these pairs in its query, behind those that are there (RFC 6749, section 3.1).
    #[must_use]
    pub fn asking(&self, pairs: &[(&str, &str)]) -> String {
        let mark = if self.has_query() { '&' } else { '?' };
        format!("{}{mark}{}", self.text, form(pairs))
    }

    /// Whether it has a query.
    #[must_use]
    pub fn has_query(&self) -> bool {
        self.text.contains('?')
    }

    /// The name that the certificate there must carry.
    pub(crate) fn host(&self) -> ServerName<'static> {
        self.host.clone()
    }

    /// Where to connect.
    pub(crate) fn address(&self) -> (&str, u16) {
        (&self.address, self.port)
    }

    /// The `Host` header.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    /// Path and query, as the request line has them.
    pub(crate) fn target(&self) -> &str {
        &self.target
    }
}

/// `application/x-www-form-urlencoded`.
pub(crate) fn form(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish()
}

impl FromStr for HttpsUrl {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            Error::invalid(
                "url",
                "an address of the OpenID provider has the form https://host/path, without user \
                 name and fragment",
            )
        };
        let uri: Uri = text.parse().map_err(|_not_a_uri| wrong())?;
        let authority = uri.authority().ok_or_else(wrong)?;
        // http::Uri drops a fragment without a word.
        if uri.scheme_str() != Some("https")
            || text.contains('#')
            || authority.as_str().contains('@')
        {
            return Err(wrong());
        }
        let bare = authority.host();
        let bare = bare
            .strip_prefix('[')
            .and_then(|inner| inner.strip_suffix(']'))
            .unwrap_or(bare);
        Ok(HttpsUrl {
            text: text.to_owned(),
            host: ServerName::try_from(bare.to_owned()).map_err(|_not_a_name| wrong())?,
            authority: authority.to_string(),
            address: bare.to_owned(),
            // http::Uri takes a port that is none for no port.
            port: match authority.as_str().strip_prefix(authority.host()) {
                Some("") => 443,
                Some(port) => port
                    .strip_prefix(':')
                    .and_then(|port| port.parse().ok())
                    .ok_or_else(wrong)?,
                None => return Err(wrong()),
            },
            target: uri
                .path_and_query()
                .map_or_else(|| "/".to_owned(), ToString::to_string),
        })
    }
}

impl fmt::Display for HttpsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for HttpsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpsUrl({})", self.text)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_where_and_what() {
        for (text, address, target) in [
            ("https://id.example", ("id.example", 443), "/"),
            (
                "https://id.example:8443/a/b?c=d",
                ("id.example", 8443),
                "/a/b?c=d",
            ),
            ("https://[::1]:1/x", ("::1", 1), "/x"),
        ] {
            let url: HttpsUrl = text.parse().unwrap();
            assert_eq!((url.address(), url.target()), (address, target));
            assert_eq!(url.as_str(), text);
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "id.example",
            "/path",
            "http://id.example",
            "https://",
            "https://id.example#x",
            "https://olivia@id.example",
            "https://id.example:70000",
            "https://id.example:",
            "https://i d.example",
        ] {
            assert!(text.parse::<HttpsUrl>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_asked_stands_behind_what_is_there() {
        let url: HttpsUrl = "https://id.example/auth?realm=a".parse().unwrap();
        assert_eq!(
            url.asking(&[
                ("scope", "openid"),
                ("redirect_uri", "http://127.0.0.1:1/c b")
            ]),
            "https://id.example/auth?realm=a&scope=openid&redirect_uri=http%3A%2F%2F127.0.0.1%3A1%2Fc+b"
        );
        assert!(url.under("x").is_err());
        let issuer: HttpsUrl = "https://id.example/realm/".parse().unwrap();
        assert_eq!(
            issuer.under(".well-known/x").unwrap().as_str(),
            "https://id.example/realm/.well-known/x"
        );
    }
}

//! A token before its signature is judged: which key it names, by which algorithm.

use jsonwebtoken::{Algorithm, decode_header};
use kms_core::error::{Error, Result};
use std::fmt;

/// Which of the two tokens of a sign-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// For the service: `typ` is `at+jwt` (RFC 9068, section 2.1).
    Access,
    /// For the client: `typ` is `JWT` or absent.
    Identity,
}

/// A token of which nothing is believed yet.
#[derive(Clone)]
pub struct Sealed<'a> {
    pub(crate) text: &'a str,
    pub(crate) sort: Sort,
    pub(crate) algorithm: Algorithm,
    pub(crate) key: String,
}

/// The longest token, in bytes; gRPC takes no longer metadata.
const LONGEST: usize = 16 * 1024;

/// Signatures that are accepted (RFC 7518, section 3.1; RFC 8037). None is symmetric: whoever can
/// check a token must not be able to make one.
const ACCEPTED: [Algorithm; 5] = [
    Algorithm::RS256,
    Algorithm::PS256,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

impl<'a> Sealed<'a> {
    /// Reads the header.
    ///
    /// # Errors
    /// `Refused`: no signed token of this sort, or signed in a way that is not accepted.
    pub fn read(text: &'a str, sort: Sort) -> Result<Self> {
        let refused = |why: &str| {
            let name = sort.name();
            Error::refused(format!("the {name} {why}; sign in again"))
        };
        if text.len() > LONGEST {
            return Err(refused("is longer than any"));
        }
        // `none` and what nobody knows fail here already.
        let header = decode_header(text)
            .map_err(|_content_stays_untold| refused("is not a signed token"))?;
        if !ACCEPTED.contains(&header.alg) {
            return Err(refused("is signed by an algorithm that is not accepted"));
        }
        if !sort.has_type(header.typ.as_deref()) {
            return Err(refused("is a token of another type"));
        }
        // RFC 7515, section 4.1.11: what must be understood, and is not.
        if header.crit.is_some() {
            return Err(refused("has critical extensions"));
        }
        // Keys that a header brings along (jwk, jku, x5c, x5u) are never looked at.
        let key = header
            .kid
            .ok_or_else(|| refused("does not name the key that signed it"))?;
        Ok(Sealed {
            text,
            sort,
            algorithm: header.alg,
            key,
        })
    }

    /// Which of the two it is said to be.
    #[must_use]
    pub fn sort(&self) -> Sort {
        self.sort
    }
}

impl fmt::Debug for Sealed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({})", self.sort.name())
    }
}

impl Sort {
    /// Its name in a sentence.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Sort::Access => "access token",
            Sort::Identity => "ID token",
        }
    }

    /// Both come from one signer: neither may be taken for the other.
    fn has_type(self, typ: Option<&str>) -> bool {
        let typ = typ.map(str::to_ascii_lowercase);
        let typ = typ.as_deref();
        let typ = typ.map(|typ| typ.strip_prefix("application/").unwrap_or(typ));
        match self {
            Sort::Access => typ == Some("at+jwt"),
            Sort::Identity => matches!(typ, None | Some("jwt")),
        }
    }
}

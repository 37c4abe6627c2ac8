//! Why somebody is not, or no longer, at a listener: a closed set of words for logs and metrics.

use rustls::CertificateError;
use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::sync::Arc;

/// Why a connection was refused or ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// The certificate has ended, or one of its chain.
    Expired,
    /// The certificate has not begun.
    NotYetValid,
    /// The certificate is in a revocation list, or one of its chain.
    Revoked,
    /// No list of ours covers the certificate, or the one that does has ended.
    RevocationUnknown,
    /// The certificate comes from no authority of this listener.
    UnknownAuthority,
    /// The certificate does not have one identity of this trust domain.
    WrongIdentity,
    /// The certificate is not for clients, or one of its chain is of the wrong kind: an authority's
    /// own, or signed by what is no authority.
    WrongPurpose,
    /// There was no certificate.
    NoCertificate,
    /// What came is no TLS 1.3 with our algorithms.
    NotTls,
    /// The other end broke off: most often it does not trust the listener's own certificate.
    BrokenOff,
    /// The other end went away.
    Gone,
    /// The handshake took too long.
    TooSlow,
    /// There are too many connections already, in all or of this source.
    TooMany,
    /// Nothing arrived for a long time.
    Idle,
}

impl Reason {
    /// Its word in metrics.
    pub(super) fn word(self) -> &'static str {
        match self {
            Reason::Expired => "expired",
            Reason::NotYetValid => "not_yet_valid",
            Reason::Revoked => "revoked",
            Reason::RevocationUnknown => "revocation_unknown",
            Reason::UnknownAuthority => "unknown_authority",
            Reason::WrongIdentity => "wrong_identity",
            Reason::WrongPurpose => "wrong_purpose",
            Reason::NoCertificate => "no_certificate",
            Reason::NotTls => "not_tls",
            Reason::BrokenOff => "broken_off",
            Reason::Gone => "gone",
            Reason::TooSlow => "too_slow",
            Reason::TooMany => "too_many",
            Reason::Idle => "idle",
        }
    }

    /// What a handshake failed of, and in words.
    pub(super) fn of_io(error: &io::Error) -> (Self, String) {
        let Some(inner) = error.get_ref().and_then(|e| e.downcast_ref()) else {
            return (Reason::Gone, error.to_string());
        };
        // rustls shows what it wraps as a programmer would.
        let words = if let rustls::Error::InvalidCertificate(CertificateError::Other(other)) = inner
        {
            other.0.to_string()
        } else {
            inner.to_string()
        };
        (Reason::of(inner), words)
    }

    /// What a verification failed of.
    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "rustls marks its enums non-exhaustive"
    )]
    pub(super) fn of(error: &rustls::Error) -> Self {
        let certificate = match error {
            rustls::Error::InvalidCertificate(certificate) => certificate,
            rustls::Error::NoCertificatesPresented => return Reason::NoCertificate,
            rustls::Error::AlertReceived(_) => return Reason::BrokenOff,
            _ => return Reason::NotTls,
        };
        match certificate {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Reason::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                Reason::NotYetValid
            }
            CertificateError::Revoked => Reason::Revoked,
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                Reason::UnknownAuthority
            }
            CertificateError::ApplicationVerificationFailure => Reason::WrongIdentity,
            CertificateError::Other(other) if other.0.is::<Undecided>() => {
                Reason::RevocationUnknown
            }
            _ => Reason::WrongPurpose,
        }
    }
}

/// Whether a certificate was revoked cannot be told. The alert of rustls for it would be that of an
/// unknown authority, which sends the client to the wrong person; this one becomes
/// `certificate_unknown` (RFC 8446 section 6.2).
#[derive(Debug)]
pub(super) struct Undecided(rustls::Error);

impl Undecided {
    /// This error, or the one in its place.
    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "rustls marks its enums non-exhaustive"
    )]
    pub(super) fn or(error: rustls::Error) -> rustls::Error {
        match &error {
            rustls::Error::InvalidCertificate(
                CertificateError::UnknownRevocationStatus
                | CertificateError::ExpiredRevocationList
                | CertificateError::ExpiredRevocationListContext { .. },
            )
            | rustls::Error::InvalidCertRevocationList(_) => {
                let undecided = rustls::OtherError(Arc::new(Undecided(error)));
                rustls::Error::InvalidCertificate(CertificateError::Other(undecided))
            }
            _ => error,
        }
    }
}

impl fmt::Display for Undecided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "whether the certificate was revoked cannot be told: {}",
            self.0
        )
    }
}

impl StdError for Undecided {}

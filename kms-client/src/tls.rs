//! A failed handshake, as one sentence that says what to do.

use crate::{Address, Error, Kind};
use rustls::CertificateError;
use std::error::Error as StdError;

/// Why no session could be had: our own verdict on the service's certificate, or the service's
/// verdict on ours, somewhere among the sources of a transport error.
pub(crate) fn explain(address: &Address, failure: &(dyn StdError + 'static)) -> Option<Error> {
    let mut next = Some(failure);
    while let Some(cause) = next {
        if let Some(verdict) = tls_error(cause) {
            return Some(sentence(address, verdict));
        }
        // The HTTP/2 layer keeps an alert only as text.
        let text = cause.to_string();
        if let Some((_, alert)) = text.split_once(ALERT) {
            let alert = alert.split(|c: char| !c.is_alphanumeric()).next();
            return Some(refused(address, alert.unwrap_or_default()));
        }
        next = cause.source();
    }
    None
}

const ALERT: &str = "received fatal alert: ";

/// rustls errors travel inside `io::Error`, whose `source` skips what it wraps.
fn tls_error<'a>(cause: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    cause.downcast_ref::<rustls::Error>().or_else(|| {
        cause
            .downcast_ref::<std::io::Error>()?
            .get_ref()?
            .downcast_ref::<rustls::Error>()
    })
}

#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "rustls marks its enums non-exhaustive"
)]
fn sentence(address: &Address, error: &rustls::Error) -> Error {
    let text = match error {
        rustls::Error::AlertReceived(alert) => return refused(address, &format!("{alert:?}")),
        rustls::Error::InvalidCertificate(why) => match why {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => format!(
                "the certificate of {address} does not come from the authority in your ca file; check the endpoint, or ask for the right ca file"
            ),
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                format!(
                    "the certificate of {address} is for another name than {}; use the name that it carries",
                    address.host()
                )
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => format!(
                "the certificate of {address} has expired; the service's operator must renew it (or your clock is wrong)"
            ),
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                format!("the certificate of {address} is not valid yet; check your clock")
            }
            other => format!("the certificate of {address} cannot be trusted: {other}"),
        },
        rustls::Error::InvalidMessage(_) => {
            format!("{address} does not speak TLS; check host and port")
        }
        rustls::Error::PeerIncompatible(_) => {
            format!("{address} does not speak TLS 1.3; check host and port")
        }
        other => format!("no TLS session with {address}: {other}"),
    };
    Error::new(Kind::Tls, text)
}

/// The alerts of RFC 8446, section 6.2, as rustls names them.
fn refused(address: &Address, alert: &str) -> Error {
    let text = match alert {
        "CertificateExpired" => {
            "the server refused your certificate: it has expired, or is not valid yet; check its dates and renew it".to_owned()
        }
        "CertificateRevoked" => {
            "the server refused your certificate: it was revoked; ask for a new one".to_owned()
        }
        // The second when their authority has the name of ours, but another key.
        "UnknownCA" | "DecryptError" => "the server refused your certificate: it does not come from an authority that this deployment accepts; ask for one that does".to_owned(),
        "CertificateRequired" => {
            "the server asks for a client certificate and got none; set certificate and key".to_owned()
        }
        // Of an authority's own certificate, and where it cannot be told whether one was revoked.
        "CertificateUnknown" => {
            "the server cannot judge your certificate: it signed itself or is an authority's own, or a revocation list there is missing or has expired; show one that the deployment's authority issued, or ask the service's operator, whose log says why".to_owned()
        }
        "BadCertificate" | "UnsupportedCertificate" | "AccessDenied" => {
            "the server refused your certificate: it is not one of this deployment; check its trust domain, its purpose (clientAuth) and its single spiffe:// URI".to_owned()
        }
        "NoApplicationProtocol" => {
            format!("{address} does not speak HTTP/2; check host and port")
        }
        "ProtocolVersion" | "HandshakeFailure" => {
            format!("{address} does not speak TLS 1.3 with our algorithms; check host and port")
        }
        other => format!("{address} broke off the TLS handshake ({other})"),
    };
    Error::new(Kind::Tls, text)
}

//! Where a service listens.

use crate::{Error, Kind};
use rustls_pki_types::ServerName;

/// The parsed form of `https://host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    host: String,
    port: u16,
    name: ServerName<'static>,
}

impl Address {
    /// Reads `https://host:port`; a host is a DNS name, an IPv4 address or an IPv6 address in
    /// brackets, and is the name that the service's certificate must carry.
    ///
    /// # Errors
    /// [`Kind::Usage`] when the text is anything else.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let wrong = || {
            Error::new(
                Kind::Usage,
                format!("the endpoint must look like https://kms.example:7443, not {text:?}"),
            )
        };
        let rest = text.strip_prefix("https://").ok_or_else(wrong)?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = rest.rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse().ok().filter(|port| *port != 0);
        let host = match host.strip_prefix('[') {
            Some(inner) => inner.strip_suffix(']').ok_or_else(wrong)?,
            None if host.contains(':') => return Err(wrong()),
            None => host,
        };
        let name = ServerName::try_from(host.to_owned()).ok();
        match (port, name) {
            (Some(port), Some(name)) => Ok(Self {
                host: host.to_owned(),
                port,
                name,
            }),
            (None, _) | (_, None) => Err(wrong()),
        }
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn name(&self) -> ServerName<'static> {
        self.name.clone()
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "https://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "https://{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn an_address_reads_back_as_written() {
        for text in [
            "https://127.0.0.1:7443",
            "https://kms.emc2.example:443",
            "https://[::1]:7443",
        ] {
            assert_eq!(Address::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "127.0.0.1:7443",
            "http://127.0.0.1:7443",
            "https://kms.example",
            "https://kms.example:0",
            "https://kms.example:70000",
            "https://::1:7443",
            "https://a b:1",
            "https://kms.example:7443/path",
        ] {
            assert_eq!(
                Address::parse(text).unwrap_err().kind(),
                Kind::Usage,
                "{text}"
            );
        }
    }
}

//! What is counted at one listener.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use std::net::SocketAddr;

/// The families of every listener.
#[derive(Debug, Default)]
pub(super) struct Doorways {
    refused: Family<Why, Counter>,
    ended: Family<Why, Counter>,
    connections: Family<At, Gauge>,
    reloads: Family<At, Counter>,
    files_refused: Family<At, Gauge>,
    expires: Family<What, Gauge>,
}

/// What is counted at one listener. Its label is the address that it is bound to.
#[derive(Debug)]
pub struct Doorway {
    families: Doorways,
    at: At,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct At {
    listener: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Why {
    listener: String,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct What {
    listener: String,
    what: &'static str,
}

impl Doorways {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let all = Doorways::default();
        registry.register(
            "tls_handshakes_refused",
            "Connections that were refused, by reason",
            all.refused.clone(),
        );
        registry.register(
            "tls_connections_ended",
            "Open connections that were ended, by reason",
            all.ended.clone(),
        );
        registry.register(
            "tls_connections",
            "Open connections",
            all.connections.clone(),
        );
        registry.register(
            "tls_reloads",
            "Times that changed certificates were taken in",
            all.reloads.clone(),
        );
        registry.register(
            "tls_files_refused",
            "1 while the files there cannot be used and those before stay in force",
            all.files_refused.clone(),
        );
        registry.register_with_unit(
            "tls_expires",
            "Time until the first certificate, authority or revocation list expires",
            Unit::Seconds,
            all.expires.clone(),
        );
        all
    }

    pub(super) fn at(&self, address: &SocketAddr) -> Doorway {
        let at = At {
            listener: address.to_string(),
        };
        Doorway {
            families: Doorways {
                refused: self.refused.clone(),
                ended: self.ended.clone(),
                connections: self.connections.clone(),
                reloads: self.reloads.clone(),
                files_refused: self.files_refused.clone(),
                expires: self.expires.clone(),
            },
            at,
        }
    }
}

impl Doorway {
    /// The listener's address.
    #[must_use]
    pub fn listener(&self) -> &str {
        &self.at.listener
    }

    /// A connection was refused.
    pub fn refused(&self, reason: &'static str) {
        self.families.refused.get_or_create(&self.why(reason)).inc();
    }

    /// An open connection was ended.
    pub fn ended(&self, reason: &'static str) {
        self.families.ended.get_or_create(&self.why(reason)).inc();
    }

    /// How many connections are open.
    #[must_use]
    pub fn connections(&self) -> Gauge {
        self.families.connections.get_or_create_owned(&self.at)
    }

    /// Changed certificates were taken in.
    pub fn reloaded(&self) {
        self.families.reloads.get_or_create(&self.at).inc();
    }

    /// Whether the files there cannot be used.
    pub fn files_refused(&self, refused: bool) {
        let gauge = self.families.files_refused.get_or_create(&self.at);
        gauge.set(i64::from(refused));
    }

    /// When the first of its sort expires, in seconds since 1970; none: there is none.
    pub fn expires(&self, what: &'static str, until: Option<u64>, now: u64) {
        let what = What {
            listener: self.at.listener.clone(),
            what,
        };
        match until {
            Some(until) => {
                let signed = |seconds| i64::try_from(seconds).unwrap_or(i64::MAX);
                let left = signed(until).saturating_sub(signed(now));
                self.families.expires.get_or_create(&what).set(left);
            }
            None => {
                self.families.expires.remove(&what);
            }
        }
    }

    fn why(&self, reason: &'static str) -> Why {
        Why {
            listener: self.at.listener.clone(),
            reason,
        }
    }
}

//! Listeners in the configuration: where, with which certificates, for which side of the service.

use kms_core::plane::Plane;
use serde::Deserialize;
use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;

/// Where callers connect.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "ListenerTable")]
pub struct Listener {
    /// Address and port; port 0 lets the system choose.
    pub address: SocketAddr,
    /// Its certificates, and whose clients may connect.
    pub files: TlsFiles,
    /// What may be asked here.
    pub planes: &'static [Plane],
    /// How many may be there at once.
    pub limits: Limits,
}

/// Where Prometheus reads: HTTP, on loopback, or with TLS and client certificates of its own.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "MetricsTable")]
pub struct MetricsListener {
    /// Address and port; port 0 lets the system choose.
    pub address: SocketAddr,
    /// Its certificates, and whose clients may read. Without them it is on loopback.
    pub files: Option<TlsFiles>,
}

/// The files of a listener's TLS, all PEM. They are read again when they change.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The server's certificate chain.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The authorities of clients.
    pub client_ca: PathBuf,
    /// The lists of revoked certificates of these authorities; none: nothing is revoked.
    pub client_crl: Vec<PathBuf>,
}

impl TlsFiles {
    /// Every path.
    pub(super) fn each_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        [&mut self.certificate, &mut self.key, &mut self.client_ca]
            .into_iter()
            .chain(&mut self.client_crl)
    }
}

/// How many may be at a listener at once. A source is an IPv4 address, or the /64 of an IPv6 one.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Handshakes under way.
    pub handshakes: NonZeroUsize,
    /// Handshakes under way of one source; more of it wait for their turn.
    pub handshakes_per_source: NonZeroUsize,
    /// Connections, those that wait for a handshake included.
    pub connections: NonZeroUsize,
    /// Connections of one source.
    pub connections_per_source: NonZeroUsize,
    /// A connection on which nothing arrives for this long is closed.
    pub idle_seconds: NonZeroU32,
}

impl Default for Limits {
    fn default() -> Self {
        let at_least_one = |n| NonZeroUsize::new(n).unwrap_or(NonZeroUsize::MIN);
        Limits {
            handshakes: at_least_one(256),
            handshakes_per_source: at_least_one(16),
            connections: at_least_one(4096),
            connections_per_source: at_least_one(512),
            // A live client answers the server's pings: four of them went unanswered.
            idle_seconds: NonZeroU32::new(120).unwrap_or(NonZeroU32::MIN),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListenerTable {
    address: SocketAddr,
    certificate: PathBuf,
    key: PathBuf,
    client_ca: PathBuf,
    #[serde(default)]
    client_crl: Vec<PathBuf>,
    #[serde(default = "both")]
    planes: Vec<PlaneName>,
    #[serde(default)]
    limits: Limits,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum PlaneName {
    Data,
    Administration,
}

fn both() -> Vec<PlaneName> {
    vec![PlaneName::Data, PlaneName::Administration]
}

impl TryFrom<ListenerTable> for Listener {
    type Error = String;

    fn try_from(table: ListenerTable) -> Result<Self, String> {
        let serves = |plane| table.planes.contains(&plane);
        let planes: &[Plane] = match (serves(PlaneName::Data), serves(PlaneName::Administration)) {
            (true, true) => &Plane::ALL,
            (true, false) => &[Plane::Data],
            (false, true) => &[Plane::Administration],
            (false, false) => {
                return Err(format!(
                    "the listener {} serves nothing: its planes are \"data\", \
                     \"administration\", or both",
                    table.address
                ));
            }
        };
        Ok(Listener {
            address: table.address,
            files: TlsFiles {
                certificate: table.certificate,
                key: table.key,
                client_ca: table.client_ca,
                client_crl: table.client_crl,
            },
            planes,
            limits: table.limits,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MetricsTable {
    address: SocketAddr,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    client_ca: Option<PathBuf>,
    #[serde(default)]
    client_crl: Vec<PathBuf>,
}

impl TryFrom<MetricsTable> for MetricsListener {
    type Error = String;

    fn try_from(table: MetricsTable) -> Result<Self, String> {
        let files = match (table.certificate, table.key, table.client_ca) {
            (Some(certificate), Some(key), Some(client_ca)) => Some(TlsFiles {
                certificate,
                key,
                client_ca,
                client_crl: table.client_crl,
            }),
            (None, None, None) if table.client_crl.is_empty() => None,
            (Some(_) | None, Some(_) | None, Some(_) | None) => {
                return Err(
                    "metrics has some of certificate, key, client_ca and client_crl: give the \
                     first three together, or none of them"
                        .into(),
                );
            }
        };
        if files.is_none() && !table.address.ip().to_canonical().is_loopback() {
            return Err(format!(
                "metrics.address {} is no loopback address: give metrics a certificate, key and \
                 client_ca of its own, or bind it to 127.0.0.1",
                table.address
            ));
        }
        Ok(MetricsListener {
            address: table.address,
            files,
        })
    }
}

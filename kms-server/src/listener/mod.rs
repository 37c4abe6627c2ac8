//! Listeners: mutual TLS 1.3 in front of gRPC. The certificates of a listener can be replaced while
//! it serves.

mod stream;
mod verifier;

pub use stream::Connection;

use crate::config;
use crate::grpc::Connected;
use crate::metrics::Metrics;
use arc_swap::ArcSwap;
use kms_core::caller::{Peer, TrustDomain};
use kms_core::certificate::Certificate;
use kms_core::plane::Plane;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{RootCertStore, ServerConfig};
use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;
use verifier::IdentityVerifier;

/// A handshake that takes longer is given up.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How long a refused client may take to read why.
const PARTING: Duration = Duration::from_secs(1);

/// What a refused client may still send, in bytes.
const PARTING_MAX: u64 = 64 * 1024;

/// Connections whose handshake is done and that nobody has taken yet, at most.
const BACKLOG: usize = 128;

/// A listener that is bound.
pub struct Listener {
    socket: TcpListener,
    tls: Arc<Tls>,
    metrics: Arc<Metrics>,
}

/// The certificates of a listener, as they are now.
pub struct Tls {
    files: config::Listener,
    trust_domain: TrustDomain,
    current: ArcSwap<ServerConfig>,
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Listener({:?})", self.socket.local_addr())
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tls({})", self.files.certificate.display())
    }
}

impl Listener {
    /// Binds the address and reads the certificates.
    ///
    /// # Errors
    /// One sentence that says what to do.
    pub async fn bind(
        files: &config::Listener,
        trust_domain: TrustDomain,
        metrics: Arc<Metrics>,
    ) -> Result<Self, String> {
        let current = ArcSwap::from_pointee(server_config(files, &trust_domain)?);
        let tls = Arc::new(Tls {
            files: files.clone(),
            trust_domain,
            current,
        });
        let socket = TcpListener::bind(files.address).await.map_err(|e| {
            format!(
                "cannot listen on {}: {e}; is another server there?",
                files.address
            )
        })?;
        Ok(Listener {
            socket,
            tls,
            metrics,
        })
    }

    /// Where it listens, with the port that the system chose if none was.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Its certificates, to be read again.
    #[must_use]
    pub fn tls(&self) -> Arc<Tls> {
        Arc::clone(&self.tls)
    }

    /// Accepts connections for as long as somebody takes them.
    #[must_use]
    pub fn connections(self) -> ReceiverStream<std::io::Result<Connection>> {
        let (done, taken) = mpsc::channel(BACKLOG);
        tokio::spawn(async move {
            loop {
                let accepted = tokio::select! {
                    accepted = self.socket.accept() => accepted,
                    () = done.closed() => return,
                };
                match accepted {
                    Ok((stream, source)) => {
                        let (tls, metrics) = (Arc::clone(&self.tls), Arc::clone(&self.metrics));
                        tokio::spawn(handshake(tls, metrics, stream, source, done.clone()));
                    }
                    // Too many open files, most likely: the next one may fit.
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                }
            }
        });
        ReceiverStream::new(taken)
    }
}

async fn handshake(
    tls: Arc<Tls>,
    metrics: Arc<Metrics>,
    stream: TcpStream,
    source: SocketAddr,
    done: mpsc::Sender<std::io::Result<Connection>>,
) {
    let refused = |why: String| {
        metrics.handshakes_refused.inc();
        tracing::warn!(%source, why, "a TLS handshake was refused");
    };
    if let Err(error) = stream.set_nodelay(true) {
        return refused(error.to_string());
    }
    let acceptor = TlsAcceptor::from(tls.current.load_full());
    let accepting = acceptor.accept(stream).into_fallible();
    let stream = match tokio::time::timeout(HANDSHAKE, accepting).await {
        Ok(Ok(stream)) => stream,
        Ok(Err((error, stream))) => {
            refused(error.to_string());
            return part(stream).await;
        }
        Err(_elapsed) => return refused("it took longer than 10 seconds".into()),
    };
    let certificate = stream
        .get_ref()
        .1
        .peer_certificates()
        .and_then(<[_]>::first);
    let peer = certificate.and_then(|certificate| {
        Some(Connected(Arc::new(Peer {
            certificate: Certificate::parse(certificate).ok()?,
            source: Some(source),
            planes: &Plane::ALL,
            sign_in: None,
            purpose: None,
        })))
    });
    match peer {
        Some(peer) => {
            // Nobody takes it any more: the server is stopping.
            if done.send(Ok(Connection::new(stream, peer))).await.is_err() {
                tracing::debug!(%source, "a connection came too late");
            }
        }
        None => refused("the certificate has no identity".into()),
    }
}

/// Lets the other end read the alert that says why: a socket closed with unread bytes in it would
/// be reset, and the alert lost.
async fn part(mut stream: TcpStream) {
    let reading = async {
        stream.shutdown().await?;
        tokio::io::copy(&mut stream.take(PARTING_MAX), &mut tokio::io::sink()).await
    };
    if let Ok(Err(error)) = tokio::time::timeout(PARTING, reading).await {
        tracing::debug!(%error, "the other end is gone already");
    }
}

impl Tls {
    /// Reads the certificates again: connections from now on see them.
    ///
    /// # Errors
    /// One sentence; the certificates before stay.
    pub fn reload(&self) -> Result<(), String> {
        self.current
            .store(Arc::new(server_config(&self.files, &self.trust_domain)?));
        Ok(())
    }
}

fn server_config(files: &config::Listener, domain: &TrustDomain) -> Result<ServerConfig, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut authorities = RootCertStore::empty();
    for certificate in certificates(&files.client_ca)? {
        authorities
            .add(certificate)
            .map_err(|e| format!("{}: {e}", files.client_ca.display()))?;
    }
    let verifier = IdentityVerifier::new(authorities, Arc::clone(&provider), domain.clone())?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|e| format!("cannot read the private key {}: {e}", files.key.display()))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|e| e.to_string())?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_single_cert(certificates(&files.certificate)?, key)
        .map_err(|e| {
            format!(
                "{} and {} do not go together: {e}",
                files.certificate.display(),
                files.key.display()
            )
        })?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let read =
        |e: &dyn fmt::Display| format!("cannot read certificates from {}: {e}", path.display());
    let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
        .map_err(|e| read(&e))?
        .collect::<Result<_, _>>()
        .map_err(|e| read(&e))?;
    if certificates.is_empty() {
        Err(read(&"there is none in it"))
    } else {
        Ok(certificates)
    }
}

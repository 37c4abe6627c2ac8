//! Listeners: mutual TLS 1.3 in front of gRPC and of the metrics page. Each has its own
//! certificates, trust roots and revocation lists, which can be replaced while it serves; who could
//! not connect with the new ones is disconnected.

mod connection;
mod contents;
mod expiry;
mod gate;
mod handshake;
mod reason;
mod register;
mod revocation;
mod stream;
mod tls;
mod trust;
mod verifier;

pub use connection::Connection;
pub use stream::Stream;
pub use tls::Tls;
pub use verifier::Admits;

use crate::clock::Clock;
use crate::config::{Limits, TlsFiles};
use crate::metrics::Metrics;
use gate::Gate;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_stream::wrappers::ReceiverStream;

/// Connections whose handshake is done and that nobody has taken yet, at most.
const BACKLOG: usize = 128;

/// A listener that is bound.
pub struct Listener {
    socket: TcpListener,
    tls: Arc<Tls>,
    gate: Arc<Gate>,
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Listener({:?})", self.socket.local_addr())
    }
}

impl Listener {
    /// Binds the address and reads the certificates.
    ///
    /// # Errors
    /// One sentence that says what to do.
    pub async fn bind(
        address: SocketAddr,
        (files, limits): (&TlsFiles, &Limits),
        admits: Admits,
        clock: Arc<dyn Clock>,
        metrics: &Metrics,
    ) -> Result<Self, String> {
        let socket = bind(address).await?;
        let bound = socket.local_addr().map_err(|e| e.to_string())?;
        let doorway = metrics.doorway(&bound);
        let idle = Duration::from_secs(limits.idle_seconds.get().into());
        Ok(Listener {
            socket,
            tls: Arc::new(Tls::new(files, admits, idle, clock, doorway)?),
            gate: Gate::new(limits.clone()),
        })
    }

    /// Where it listens, with the port that the system chose if none was.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Its certificates, to be read again.
    #[must_use]
    pub fn tls(&self) -> Arc<Tls> {
        Arc::clone(&self.tls)
    }

    /// Accepts connections for as long as somebody takes them.
    #[must_use]
    pub fn connections(self) -> ReceiverStream<io::Result<Stream>> {
        let (done, taken) = mpsc::channel(BACKLOG);
        tokio::spawn(async move {
            tokio::select! {
                () = self.accept(&done) => {}
                () = watch(&self.tls) => {}
                () = done.closed() => {}
            }
        });
        ReceiverStream::new(taken)
    }

    async fn accept(&self, done: &mpsc::Sender<io::Result<Stream>>) {
        loop {
            let (stream, source) = match self.socket.accept().await {
                Ok(accepted) => accepted,
                // Too many open files, most likely: the next one may fit.
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let pass = match self.gate.enter(source.ip()) {
                Ok(pass) => pass,
                Err(reason) => {
                    self.tls.refuse(source, reason, "there are too many");
                    continue;
                }
            };
            let (tls, done) = (Arc::clone(&self.tls), done.clone());
            tokio::spawn(async move {
                if let Some(stream) = handshake::handshake(tls, pass, stream, source).await
                    && done.send(Ok(stream)).await.is_err()
                {
                    // Nobody takes it any more: the server is stopping.
                    tracing::debug!(%source, "a connection came too late");
                }
            });
        }
    }
}

/// Looks at the files, the dates and the connections of a listener for as long as it is there.
async fn watch(tls: &Arc<Tls>) {
    let mut pace = tokio::time::interval(tls::PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        pace.tick().await;
        let tls = Arc::clone(tls);
        if let Err(error) = tokio::task::spawn_blocking(move || tls.look()).await {
            tracing::error!(%error, "certificates could not be looked at");
        }
    }
}

/// Binds an address.
///
/// # Errors
/// One sentence that says what to do.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(address)
        .await
        .map_err(|e| format!("cannot listen on {address}: {e}; is another server there?"))
}

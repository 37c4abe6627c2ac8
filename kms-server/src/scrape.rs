//! Where Prometheus reads: HTTP on loopback, or with TLS and client certificates of its own.

use crate::clock::Clock;
use crate::config::{Limits, MetricsListener};
use crate::listener::{self, Admits, Listener, Stream, Tls};
use crate::metrics::Metrics;
use std::future::{Future, pending};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::watch;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The metrics page, served.
#[derive(Debug)]
pub struct Scrape {
    /// Where.
    pub address: SocketAddr,
    /// Its certificates, if it has any.
    pub tls: Option<Arc<Tls>>,
}

impl Scrape {
    /// Serves the page until `stopping` says so.
    ///
    /// # Errors
    /// One sentence that says why it cannot be served.
    pub async fn serve(
        listener: &MetricsListener,
        metrics: Arc<Metrics>,
        clock: Arc<dyn Clock>,
        stopping: watch::Receiver<bool>,
    ) -> Result<Self, String> {
        let page = Arc::clone(&metrics);
        let text = move || {
            let text = page.text();
            async move { ([("content-type", OPEN_METRICS)], text) }
        };
        let router = axum::Router::new().route("/metrics", axum::routing::get(text));
        let Some(files) = &listener.files else {
            let socket = listener::bind(listener.address).await?;
            let address = socket.local_addr().map_err(|e| e.to_string())?;
            let serving = axum::serve(socket, router).with_graceful_shutdown(stopped(stopping));
            tokio::spawn(end(serving.into_future()));
            return Ok(Scrape { address, tls: None });
        };
        let terms = (files, &Limits::default());
        let bound =
            Listener::bind(listener.address, terms, Admits::Anyone, clock, &metrics).await?;
        let address = bound.address().map_err(|e| e.to_string())?;
        let tls = Some(bound.tls());
        let scrapers = Scrapers {
            address,
            connections: bound.connections(),
        };
        let serving = axum::serve(scrapers, router).with_graceful_shutdown(stopped(stopping));
        tokio::spawn(end(serving.into_future()));
        Ok(Scrape { address, tls })
    }
}

async fn stopped(mut stopping: watch::Receiver<bool>) {
    // An error: whoever would say so is gone, and that is the end too.
    drop(stopping.wait_for(|stop| *stop).await);
}

async fn end(serving: impl Future<Output = io::Result<()>>) {
    if let Err(error) = serving.await {
        tracing::warn!(%error, "metrics ended badly");
    }
}

/// Connections as axum takes them.
struct Scrapers {
    address: SocketAddr,
    connections: ReceiverStream<io::Result<Stream>>,
}

impl axum::serve::Listener for Scrapers {
    type Io = Stream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Stream, SocketAddr) {
        loop {
            match self.connections.next().await {
                Some(Ok(stream)) => {
                    let source = stream.source();
                    return (stream, source);
                }
                Some(Err(error)) => tracing::debug!(%error, "a connection was lost"),
                // The listener is closed; axum is told by `stopped`.
                None => pending().await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

//! From a connection to somebody: the TLS handshake, and what is owed to whoever fails it.

use super::gate::Pass;
use super::reason::Reason;
use super::register::{Chain, Seat};
use super::stream::Stream;
use super::tls::Tls;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// A handshake that takes longer, its turn included, is given up.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a refused client may take to read why.
const PARTING: Duration = Duration::from_secs(1);

/// What a refused client may still send, in bytes.
const PARTING_MAX: u64 = 64 * 1024;

/// Whoever is there, if they may be.
pub(super) async fn handshake(
    tls: Arc<Tls>,
    pass: Pass,
    stream: TcpStream,
    source: SocketAddr,
) -> Option<Stream> {
    match tokio::time::timeout(PATIENCE, attempt(&tls, &pass, stream, source)).await {
        Ok(Ok((stream, chain, seat))) => {
            let open = tls.doorway().connections();
            Some(Stream::new(stream, chain, source, (seat, pass), open))
        }
        Ok(Err(Refused {
            reason,
            why,
            stream,
        })) => {
            tls.refuse(source, reason, &why);
            if let Some(stream) = stream {
                // With its pass: whoever lingers counts.
                part(stream).await;
            }
            None
        }
        Err(_elapsed) => {
            tls.refuse(source, Reason::TooSlow, "it took longer than 10 seconds");
            None
        }
    }
}

struct Refused {
    reason: Reason,
    why: String,
    stream: Option<TcpStream>,
}

async fn attempt(
    tls: &Arc<Tls>,
    pass: &Pass,
    stream: TcpStream,
    source: SocketAddr,
) -> Result<(TlsStream<TcpStream>, Chain, Seat), Refused> {
    let refused = |reason, why: &dyn std::fmt::Display, stream| Refused {
        reason,
        why: why.to_string(),
        stream,
    };
    stream
        .set_nodelay(true)
        .map_err(|e| refused(Reason::Gone, &e, None))?;
    let Some(turn) = pass.turn().await else {
        return Err(refused(Reason::Gone, &"the listener is closed", None));
    };
    let mut trust = tls.current();
    let acceptor = TlsAcceptor::from(trust.server());
    let stream = acceptor
        .accept(stream)
        .into_fallible()
        .await
        .map_err(|(error, stream)| {
            let (reason, why) = Reason::of_io(&error);
            refused(reason, &why, Some(stream))
        })?;
    drop(turn);
    let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let chain: Chain = certificates
        .iter()
        .map(|c| c.clone().into_owned())
        .collect();
    loop {
        let seat = tls
            .register()
            .admit(Arc::clone(&chain), source, &trust, tls.now());
        // What was put into force meanwhile did not find it in the register yet.
        let current = tls.current();
        if Arc::ptr_eq(&trust, &current) {
            return Ok((stream, chain, seat));
        }
        current
            .judge(&chain, tls.now())
            .map_err(|reason| refused(reason, &"the certificates were replaced", None))?;
        trust = current;
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

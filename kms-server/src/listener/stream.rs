//! A connection whose handshake is done. It ends itself when it may not go on.

use super::gate::Pass;
use super::register::{Chain, Seat};
use prometheus_client::metrics::gauge::Gauge;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// A connection with somebody whose certificates were verified, and what is known of them.
#[derive(Debug)]
pub struct Stream<Who = ()> {
    tls: TlsStream<TcpStream>,
    chain: Chain,
    source: SocketAddr,
    seat: Seat,
    ended: bool,
    who: Who,
    open: Open,
    pass: Pass,
}

/// Counted for as long as it is there.
#[derive(Debug)]
struct Open(Gauge);

impl Stream {
    pub(super) fn new(
        tls: TlsStream<TcpStream>,
        chain: Chain,
        source: SocketAddr,
        (seat, pass): (Seat, Pass),
        open: Gauge,
    ) -> Self {
        open.inc();
        Stream {
            tls,
            chain,
            source,
            seat,
            ended: false,
            who: (),
            open: Open(open),
            pass,
        }
    }

    /// The same connection, with what is known of the other end.
    pub(super) fn with<Who>(self, who: Who) -> Stream<Who> {
        Stream {
            tls: self.tls,
            chain: self.chain,
            source: self.source,
            seat: self.seat,
            ended: self.ended,
            who,
            open: self.open,
            pass: self.pass,
        }
    }
}

impl<Who> Stream<Who> {
    /// What is known of the other end.
    pub(super) fn who(&self) -> &Who {
        &self.who
    }

    /// The certificates of the other end, its own first.
    pub(super) fn chain(&self) -> &Chain {
        &self.chain
    }

    /// From where the other end comes.
    #[must_use]
    pub fn source(&self) -> SocketAddr {
        self.source
    }

    /// An error when the connection must end. Whoever reads is woken when that happens; a server of
    /// HTTP always reads.
    fn may_go_on(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if !self.ended && Pin::new(&mut self.seat.ended).poll(cx).is_ready() {
            self.ended = true;
            // The other end is told that it was us, and not somebody who cut the line; if it does
            // not listen now, it never will.
            self.tls.get_mut().1.send_close_notify();
            drop(Pin::new(&mut self.tls).poll_flush(cx));
        }
        if self.ended {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl<Who: Unpin> AsyncRead for Stream<Who> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.may_go_on(cx)?;
        let before = buf.filled().len();
        let read = Pin::new(&mut self.tls).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.seat.heard.store(true, Ordering::Relaxed);
        }
        read
    }
}

impl<Who: Unpin> AsyncWrite for Stream<Who> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.may_go_on(cx)?;
        Pin::new(&mut self.tls).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.may_go_on(cx)?;
        Pin::new(&mut self.tls).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.may_go_on(cx)?;
        Pin::new(&mut self.tls).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.may_go_on(cx)?;
        Pin::new(&mut self.tls).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.tls.is_write_vectored()
    }
}

//! A caller's connection, as tonic takes it.

use super::stream::Stream;
use crate::grpc::Connected;
use kms_core::caller::Peer;
use kms_core::certificate::Certificate;
use kms_core::plane::Plane;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::transport::server;

/// A connection, with who is at its other end.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    peer: Connected,
}

impl Connection {
    /// A connection at a listener for these planes.
    ///
    /// # Errors
    /// When its certificate names nobody, which the handshake has made sure of.
    pub fn new(stream: Stream, planes: &'static [Plane]) -> io::Result<Self> {
        let certificate = stream.chain().first().ok_or(io::ErrorKind::InvalidData)?;
        let certificate = Certificate::parse(certificate).map_err(io::Error::other)?;
        let peer = Peer {
            certificate,
            source: Some(stream.source()),
            planes,
            sign_in: None,
            purpose: None,
        };
        Ok(Connection {
            stream,
            peer: Connected(Arc::new(peer)),
        })
    }
}

impl server::Connected for Connection {
    type ConnectInfo = Connected;

    fn connect_info(&self) -> Connected {
        self.peer.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

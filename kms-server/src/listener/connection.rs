//! A caller's connection, as tonic takes it.

use super::stream::Stream;
use crate::grpc::Connected;
use kms_core::caller::Peer;
use kms_core::certificate::Certificate;
use kms_core::plane::Plane;
use std::io;
use std::sync::Arc;
use tonic::transport::server;

/// A connection, with who is at its other end.
pub type Connection = Stream<Connected>;

impl Connection {
    /// A connection at a listener for these planes.
    ///
    /// # Errors
    /// When its certificate names nobody, which the handshake has made sure of.
    pub fn new_at(stream: Stream, planes: &'static [Plane]) -> io::Result<Self> {
        let certificate = stream.chain().first().ok_or(io::ErrorKind::InvalidData)?;
        let certificate = Certificate::parse(certificate).map_err(io::Error::other)?;
        let peer = Peer {
            certificate,
            source: Some(stream.source()),
            planes,
            sign_in: None,
            purpose: None,
        };
        Ok(stream.with(Connected(Arc::new(peer))))
    }
}

impl server::Connected for Connection {
    type ConnectInfo = Connected;

    fn connect_info(&self) -> Connected {
        self.who().clone()
    }
}

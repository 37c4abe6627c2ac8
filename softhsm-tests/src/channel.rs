//! A bare gRPC channel over mutual TLS, independent of our own client library: what a
//! foreign client would open. Tests of refused certificates and of the wire use it.

use std::{sync::Arc, time::Duration};

use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::{
    Code,
    transport::{Channel, Endpoint},
};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::{Failure, Identity, configuration::Endpoints};

/// Connects to a server's first listener as `identity`.
///
/// TLS 1.3 tells a client of a refused certificate only after its own handshake is done:
/// such a channel may open and fail on its first call.
///
/// # Errors
/// When the identity's files cannot be used, or nobody answers.
pub async fn connect(endpoints: &Endpoints, identity: &Identity) -> Result<Channel, Failure> {
    let first = endpoints.listeners.first();
    connect_to(first.map_or("", String::as_str), identity).await
}

/// As [`connect`], to any listener.
///
/// # Errors
/// As [`connect`].
pub async fn connect_to(address: &str, identity: &Identity) -> Result<Channel, Failure> {
    let tls = TlsConnector::from(Arc::new(client_tls(identity)?));
    let address = address.to_owned();
    let connector = tower::service_fn(move |_| {
        let (tls, address) = (tls.clone(), address.clone());
        async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let name = ServerName::try_from("localhost").map_err(std::io::Error::other)?;
            tls.connect(name, stream).await.map(TokioIo::new)
        }
    });
    // The scheme says http because the connector above brings the TLS itself.
    Endpoint::from_static("http://localhost")
        .connect_timeout(Duration::from_secs(10))
        .connect_with_connector(connector)
        .await
        .map_err(|cause| Failure::because("cannot connect", chain(&cause)))
}

/// What the standard health service says of the whole server, asked over `channel`.
///
/// # Errors
/// When the call itself fails.
pub async fn health(channel: Channel) -> Result<ServingStatus, Failure> {
    let mut client = HealthClient::new(channel);
    match client
        .check(HealthCheckRequest {
            service: String::new(),
        })
        .await
    {
        Ok(answer) => Ok(answer.into_inner().status()),
        Err(status) if status.code() == Code::NotFound => Ok(ServingStatus::ServiceUnknown),
        Err(status) => Err(Failure::because(
            "the health service failed",
            chain(&status),
        )),
    }
}

/// As [`health`], on a new connection and from any thread: inside an asynchronous runtime
/// or outside.
///
/// # Errors
/// As [`connect`] and [`health`].
pub fn health_now(endpoints: &Endpoints, identity: &Identity) -> Result<ServingStatus, Failure> {
    let first = endpoints.listeners.first();
    health_at(first.map_or("", String::as_str), identity)
}

/// As [`health_now`], at any listener.
///
/// # Errors
/// As [`health_now`].
pub fn health_at(address: &str, identity: &Identity) -> Result<ServingStatus, Failure> {
    let ask = || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|cause| Failure::because("cannot start a runtime", cause))?;
        runtime.block_on(async { health(connect_to(address, identity).await?).await })
    };
    std::thread::scope(|scope| scope.spawn(ask).join())
        .unwrap_or_else(|_| Err(Failure::new("the health check panicked")))
}

/// The TLS side of a client with `identity`, HTTP/2 only.
///
/// # Errors
/// When the identity's files cannot be used.
pub fn client_tls(identity: &Identity) -> Result<ClientConfig, Failure> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&identity.ca)? {
        roots
            .add(certificate)
            .map_err(Failure::with_file("trust", &identity.ca))?;
    }
    let key = PrivateKeyDer::from_pem_file(&identity.key)
        .map_err(Failure::with_file("read", &identity.key))?;
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|cause| Failure::because("cannot set TLS up", cause))?
        .with_root_certificates(roots)
        .with_client_auth_cert(certificates(&identity.certificate)?, key)
        .map_err(Failure::with_file("use", &identity.certificate))?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

fn certificates(path: &std::path::Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(Failure::with_file("read", path))
}

/// An error with all its causes: the TLS alert of a refused certificate is the last one.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

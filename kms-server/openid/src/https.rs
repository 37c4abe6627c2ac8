//! HTTP/1.1 over TLS to one provider: one request a connection, small answers, no redirects.

use crate::HttpsUrl;
use crate::url::form;
use http::header::{ACCEPT, CONTENT_TYPE, HOST};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use kms_core::error::{Error, Result};
use rustls::client::ResolvesClientCert;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// How long an exchange may take in all.
const PATIENCE: Duration = Duration::from_secs(5);

/// The largest answer, in bytes: far beyond any metadata, key set or token.
const LARGEST: usize = 256 * 1024;

/// Who fetches: whom it trusts, and which certificate it shows.
#[derive(Clone)]
pub struct Https {
    connector: TlsConnector,
}

/// What was answered.
#[derive(Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The body, which may hold a token.
    pub body: Bytes,
}

impl fmt::Debug for Https {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Https")
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Answer({})", self.status)
    }
}

impl Https {
    /// Trusts the authorities of this PEM file and no others, over TLS 1.2 or 1.3; shows this
    /// certificate where one is asked for.
    ///
    /// # Errors
    /// One sentence that names the file.
    pub fn trusting(
        authority: &Path,
        certificate: Option<Arc<dyn ResolvesClientCert>>,
    ) -> Result<Self> {
        let unusable = |e: &dyn fmt::Display| {
            let file = authority.display();
            Error::invalid(
                "authority",
                format!("{file} is not a PEM file of the OpenID provider's authorities: {e}"),
            )
        };
        let mut roots = RootCertStore::empty();
        for found in CertificateDer::pem_file_iter(authority).map_err(|e| unusable(&e))? {
            let found = found.map_err(|e| unusable(&e))?;
            roots.add(found).map_err(|e| unusable(&e))?;
        }
        if roots.is_empty() {
            return Err(unusable(&"there is no certificate in it"));
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(|e| Error::internal(e.to_string()))?
            .with_root_certificates(roots);
        let mut config = match certificate {
            Some(resolver) => builder.with_client_cert_resolver(resolver),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Https {
            connector: TlsConnector::from(Arc::new(config)),
        })
    }

    /// Fetches a document.
    ///
    /// # Errors
    /// `Unavailable`: nobody answers, or not with 200.
    pub async fn get(&self, url: &HttpsUrl) -> Result<Bytes> {
        let answer = self.ask(Method::GET, url, String::new()).await?;
        if answer.status == StatusCode::OK {
            Ok(answer.body)
        } else {
            Err(silent(url, &format!("it answers {}", answer.status)))
        }
    }

    /// Sends a form.
    ///
    /// # Errors
    /// `Unavailable`: nobody answers.
    pub async fn post(&self, url: &HttpsUrl, pairs: &[(&str, &str)]) -> Result<Answer> {
        self.ask(Method::POST, url, form(pairs)).await
    }

    async fn ask(&self, method: Method, url: &HttpsUrl, body: String) -> Result<Answer> {
        tokio::time::timeout(PATIENCE, self.exchange(method, url, body))
            .await
            .unwrap_or_else(|_late| Err(silent(url, &"it takes longer than 5 seconds")))
    }

    async fn exchange(&self, method: Method, url: &HttpsUrl, body: String) -> Result<Answer> {
        let failed = |e: &dyn std::error::Error| silent(url, &deepest(e));
        let tcp = TcpStream::connect(url.address())
            .await
            .map_err(|e| failed(&e))?;
        tcp.set_nodelay(true).map_err(|e| failed(&e))?;
        let tls = self
            .connector
            .connect(url.host(), tcp)
            .await
            .map_err(|e| failed(&e))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(tls))
            .await
            .map_err(|e| failed(&e))?;
        let mut request = Request::builder()
            .method(&method)
            .uri(url.target())
            .header(HOST, url.authority())
            .header(ACCEPT, "application/json");
        if method == Method::POST {
            request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        let request = request
            .body(Full::new(Bytes::from(body)))
            .map_err(|e| failed(&e))?;
        let asking = async {
            let answer = sender.send_request(request).await.map_err(|e| failed(&e))?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, LARGEST)
                .collect()
                .await
                .map_err(|e| silent(url, &e))?
                .to_bytes();
            Ok(Answer {
                status: head.status,
                body,
            })
        };
        // The connection lives as long as its one exchange: nothing is left behind.
        let driving = async {
            match connection.await {
                Ok(()) => std::future::pending().await,
                Err(error) => failed(&error),
            }
        };
        tokio::select! {
            biased;
            answer = asking => answer,
            error = driving => Err(error),
        }
    }
}

fn silent(url: &HttpsUrl, why: &dyn fmt::Display) -> Error {
    Error::unavailable(format!(
        "the OpenID provider gives no answer at {url}: {why}"
    ))
}

/// The last of an error's sources: what really happened.
fn deepest(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

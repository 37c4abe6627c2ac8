//! A person's browser: it goes where it is sent.

use std::{
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    sync::Arc,
};

use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject as _};

use crate::{Failure, wait::PATIENCE};

/// A browser that trusts one authority and has no certificate.
#[derive(Debug)]
pub struct Browser {
    tls: Arc<ClientConfig>,
}

/// What it shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The HTTP status.
    pub status: u16,
    /// Where it is sent next.
    pub location: Option<String>,
    /// The text.
    pub body: String,
}

impl Browser {
    /// Trusts this PEM file.
    ///
    /// # Panics
    /// When it is none.
    pub fn trusting(authority: &Path) -> Self {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(authority).expect("an authority"))
            .expect("an authority");
        let provider = Arc::new(aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("TLS 1.2 and 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self { tls: Arc::new(tls) }
    }

    /// One page.
    ///
    /// # Errors
    /// When nobody answers.
    pub fn get(&self, url: &str) -> Result<Page, Failure> {
        let (scheme, rest) = url.split_once("://").unwrap_or_default();
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let open = || -> std::io::Result<String> {
            let mut tcp = TcpStream::connect(authority)?;
            tcp.set_read_timeout(Some(PATIENCE))?;
            if scheme == "http" {
                return ask(&mut tcp, authority, path);
            }
            let host = authority.split(':').next().unwrap_or_default().to_owned();
            let name = ServerName::try_from(host).map_err(std::io::Error::other)?;
            let session = ClientConnection::new(Arc::clone(&self.tls), name)
                .map_err(std::io::Error::other)?;
            ask(&mut StreamOwned::new(session, tcp), authority, path)
        };
        let answer = open().map_err(|cause| Failure::because("the browser has no page", cause))?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        let location = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("location")
                .then(|| value.to_owned())
        });
        Ok(Page {
            status: status.ok_or_else(|| Failure::new("the answer is not HTTP"))?,
            location,
            body: body.to_owned(),
        })
    }

    /// Where the page sends it, without going there.
    ///
    /// # Panics
    /// When there is no page, or it leads nowhere.
    pub fn sent_to(&self, url: &str) -> String {
        let page = self.get(url).unwrap_or_else(|cause| panic!("{cause}"));
        let place = page.location.clone();
        place.unwrap_or_else(|| panic!("sent nowhere: {page:?}"))
    }

    /// Follows it to its end.
    ///
    /// # Panics
    /// When there is no page.
    pub fn follow(&self, url: &str) -> Page {
        let mut page = self.get(url).unwrap_or_else(|cause| panic!("{cause}"));
        while let Some(next) = page.location.take() {
            page = self.get(&next).unwrap_or_else(|cause| panic!("{cause}"));
        }
        page
    }
}

/// HTTP/1.0 without keep-alive: the body ends where the connection ends.
fn ask(stream: &mut (impl Read + Write), host: &str, path: &str) -> std::io::Result<String> {
    write!(stream, "GET /{path} HTTP/1.0\r\nHost: {host}\r\n\r\n")?;
    stream.flush()?;
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        // An end without a farewell, where the answer is whole.
        Err(cause) if cause.kind() == std::io::ErrorKind::UnexpectedEof && !answer.is_empty() => {}
        Err(cause) => return Err(cause),
        Ok(_) => {}
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

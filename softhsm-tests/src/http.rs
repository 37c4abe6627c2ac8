//! The metrics page of a server, as Prometheus would read it.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::Arc,
};

use rustls::{ClientConnection, StreamOwned};
use rustls_pki_types::ServerName;

use crate::{Failure, Identity, channel::client_tls, wait::PATIENCE};

/// One reading of `/metrics`, in the text exposition format of Prometheus.
#[derive(Debug, Clone)]
pub struct Metrics {
    text: String,
}

impl Metrics {
    /// Reads `http://{address}/metrics`.
    ///
    /// # Errors
    /// When nobody answers, or answers something else than 200.
    pub fn read(address: &str) -> Result<Self, Failure> {
        page(address, &mut |stream| get(stream, address))
    }

    /// Reads `https://{address}/metrics` as somebody.
    ///
    /// # Errors
    /// As [`Metrics::read`], and when one end does not trust the other.
    pub fn read_as(address: &str, identity: &Identity) -> Result<Self, Failure> {
        let mut tls = client_tls(identity)?;
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let tls = Arc::new(tls);
        page(address, &mut |stream| {
            let name = ServerName::try_from("localhost").map_err(std::io::Error::other)?;
            let session =
                ClientConnection::new(tls.clone(), name).map_err(std::io::Error::other)?;
            get(StreamOwned::new(session, stream), address)
        })
    }

    /// The whole page.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The value of one sample, named as on the page with its labels in the page's order,
    /// for instance `kms_requests_total{action="Encrypt",code="ok"}`; `None` when the page
    /// does not have it.
    pub fn value(&self, sample: &str) -> Option<f64> {
        self.text.lines().find_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            if name == sample {
                value.parse().ok()
            } else {
                None
            }
        })
    }

    /// The sum of all samples of one metric, whatever their labels; 0 when there is none.
    pub fn sum(&self, metric: &str) -> f64 {
        self.text
            .lines()
            .filter_map(|line| {
                let (name, value) = line.rsplit_once(' ')?;
                let rest = name.strip_prefix(metric)?;
                (rest.is_empty() || rest.starts_with('{')).then(|| value.parse::<f64>().ok())?
            })
            .sum()
    }
}

fn page(
    address: &str,
    get: &mut dyn FnMut(TcpStream) -> std::io::Result<String>,
) -> Result<Metrics, Failure> {
    let mut ask = || {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        get(stream)
    };
    let answer =
        ask().map_err(|cause| Failure::because(format!("no metrics page at {address}"), cause))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    match head.split(' ').nth(1) {
        Some("200") => Ok(Metrics {
            text: body.to_owned(),
        }),
        _ => Err(Failure::new(format!(
            "{address} answers {}",
            head.lines().next().unwrap_or("nothing")
        ))),
    }
}

/// HTTP/1.0 without keep-alive: the body ends where the connection ends.
fn get(mut stream: impl Read + Write, address: &str) -> std::io::Result<String> {
    write!(stream, "GET /metrics HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

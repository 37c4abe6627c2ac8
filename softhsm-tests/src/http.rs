//! The metrics page of a server, as Prometheus would read it.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use crate::{Failure, wait::PATIENCE};

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
        Ok(Self {
            text: get(address, "/metrics")?,
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

/// HTTP/1.0 without keep-alive: the body ends where the connection ends.
fn get(address: &str, path: &str) -> Result<String, Failure> {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer = ask().map_err(|cause| {
        Failure::because(format!("nobody answers at http://{address}{path}"), cause)
    })?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    match head.split(' ').nth(1) {
        Some("200") => Ok(body.to_owned()),
        _ => Err(Failure::new(format!(
            "http://{address}{path} answers {}",
            head.lines().next().unwrap_or("nothing")
        ))),
    }
}

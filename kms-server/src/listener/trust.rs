//! What a listener's files say at one moment: our certificate, whom we trust, who was revoked.

use super::contents::Contents;
use super::expiry::{Lifetime, Subject};
use super::reason::Reason;
use super::revocation::Lists;
use super::verifier::{Admits, Verifier};
use crate::clock::Clock;
use crate::config::TlsFiles;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::NoServerSessionStorage;
use rustls::server::danger::ClientCertVerifier;
use rustls::time_provider::TimeProvider;
use rustls::{RootCertStore, ServerConfig};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Seconds since 1970, which is what certificates count in.
pub(super) type Seconds = u64;

/// What a listener's files say. It never changes; another takes its place.
#[derive(Debug)]
pub(super) struct Trust {
    server: Arc<ServerConfig>,
    verifier: Arc<Verifier>,
    lists: Lists,
    lifetimes: Vec<Lifetime>,
}

impl Trust {
    /// What these files say, if they say it wholly and go together.
    pub(super) fn new(
        files: &TlsFiles,
        contents: &Contents,
        admits: &Admits,
        clock: &Arc<dyn Clock>,
        before: Option<&Trust>,
    ) -> Result<Self, String> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let chain = certificates(&files.certificate, &contents.certificate)?;
        let authorities = certificates(&files.client_ca, &contents.client_ca)?;
        let mut lists = Lists::default();
        for (path, pem) in files.client_crl.iter().zip(&contents.client_crl) {
            lists.add(path, pem)?;
        }
        lists.fit(&authorities, before.map(|b| &b.lists), &provider)?;
        let mut lifetimes: Vec<Lifetime> = lists.lifetimes().cloned().collect();
        let own = chain
            .first()
            .map(|own| (Subject::Certificate, &files.certificate, own));
        let theirs = authorities
            .iter()
            .map(|der| (Subject::Authority, &files.client_ca, der));
        for (subject, path, der) in own.into_iter().chain(theirs) {
            lifetimes.push(lifetime(subject, path, der)?);
        }
        let mut roots = RootCertStore::empty();
        for authority in authorities {
            roots
                .add(authority)
                .map_err(|e| format!("{}: {e}", files.client_ca.display()))?;
        }
        let verifier = Verifier::new(roots, lists.der(), Arc::clone(&provider), admits.clone())
            .map_err(|e| format!("{}: {e}", files.client_ca.display()))?;
        let verifier = Arc::new(verifier);
        let key = PrivateKeyDer::from_pem_slice(&contents.key)
            .map_err(|e| format!("cannot read the private key {}: {e}", files.key.display()))?;
        let mut server =
            ServerConfig::builder_with_details(provider, Arc::new(Now(Arc::clone(clock))))
                .with_protocol_versions(&[&rustls::version::TLS13])
                .map_err(|e| e.to_string())?
                .with_client_cert_verifier(verifier.clone())
                .with_single_cert(chain, key)
                .map_err(|e| {
                    format!(
                        "{} and {} do not go together: {e}",
                        files.certificate.display(),
                        files.key.display()
                    )
                })?;
        // A resumed session would not show its certificate again, whatever happened to it since.
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        server.alpn_protocols = vec![match admits {
            Admits::Callers(_) => b"h2".to_vec(),
            Admits::Anyone => b"http/1.1".to_vec(),
        }];
        Ok(Trust {
            server: Arc::new(server),
            verifier,
            lists,
            lifetimes,
        })
    }

    /// How handshakes go.
    pub(super) fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.server)
    }

    /// From when to when each part of it holds.
    pub(super) fn lifetimes(&self) -> &[Lifetime] {
        &self.lifetimes
    }

    /// Whether whoever showed these certificates could connect now.
    pub(super) fn judge(&self, chain: &[CertificateDer<'_>], now: Seconds) -> Result<(), Reason> {
        let (end_entity, intermediates) = chain.split_first().ok_or(Reason::NoCertificate)?;
        let now = UnixTime::since_unix_epoch(Duration::from_secs(now));
        self.verifier
            .verify_client_cert(end_entity, intermediates, now)
            .map(drop)
            .map_err(|e| Reason::of(&e))
    }

    /// When that could change by itself: the next end of a certificate or of a list.
    pub(super) fn due(&self, chain: &[CertificateDer<'_>], now: Seconds) -> Seconds {
        // A certificate still holds in its last second, a list no more in the one that it names.
        let certificates = chain.iter().map(|der| not_after(der).saturating_add(1));
        let lists = self.lists.lifetimes().map(|list| list.until);
        certificates
            .chain(lists)
            .filter(|end| *end > now)
            .min()
            .unwrap_or(Seconds::MAX)
    }
}

/// The clock, as rustls asks for it.
#[derive(Debug)]
struct Now(Arc<dyn Clock>);

impl TimeProvider for Now {
    fn current_time(&self) -> Option<UnixTime> {
        let since = Duration::from_millis(self.0.now().0);
        Some(UnixTime::since_unix_epoch(since))
    }
}

fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = |e: &dyn std::fmt::Display| {
        format!("cannot read certificates from {}: {e}", path.display())
    };
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|e| read(&e))?;
    if certificates.is_empty() {
        Err(read(&"there is none in it"))
    } else {
        Ok(certificates)
    }
}

fn lifetime(subject: Subject, path: &Path, der: &[u8]) -> Result<Lifetime, String> {
    let (_, certificate) =
        X509Certificate::from_der(der).map_err(|e| format!("{}: {e}", path.display()))?;
    let seconds = |time: i64| Seconds::try_from(time).unwrap_or(0);
    let validity = certificate.validity();
    Ok(Lifetime {
        subject,
        path: path.to_owned(),
        from: seconds(validity.not_before.timestamp()),
        until: seconds(validity.not_after.timestamp()),
    })
}

/// The last second of a certificate. One that cannot be read is judged at once.
fn not_after(der: &[u8]) -> Seconds {
    X509Certificate::from_der(der)
        .ok()
        .and_then(|(_, certificate)| {
            Seconds::try_from(certificate.validity().not_after.timestamp()).ok()
        })
        .unwrap_or(0)
}

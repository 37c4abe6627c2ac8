//! Who we are to the service, and whom we trust.

use crate::{Error, Kind, Target, read_private};
use kms_openid::{Https, Thumbprint};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::path::Path;
use std::sync::Arc;

/// The certificate and key that we show, and the authority that the service's certificate must
/// come from: three PEM files, read once.
#[derive(Clone, Debug)]
pub struct Identity {
    config: Arc<ClientConfig>,
    thumbprint: Thumbprint,
}

impl Identity {
    /// Reads the three files of a target.
    ///
    /// # Errors
    /// [`Kind::Io`] when a file cannot be read, or when the private key is open to others (mode
    /// with any permission for group or others, as `ssh` refuses it); [`Kind::Tls`] when a file is
    /// not what it should be, or when key and certificate do not belong together.
    pub fn load(target: &Target) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        for authority in certificates(&target.ca)? {
            roots
                .add(authority)
                .map_err(|e| unusable(&target.ca, "a certificate authority", &e))?;
        }
        let chain = certificates(&target.certificate)?;
        let thumbprint = Thumbprint::of(chain.first().map_or(&[], |own| own.as_ref()));
        let key = private_key(&target.key)?;
        // TLS 1.3 only: the service speaks nothing older, and its handshake hides who we are.
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|e| Error::new(Kind::Internal, format!("TLS cannot be set up: {e}")))?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .map_err(|e| {
                let what = format!("the certificate that goes with {}", target.key.display());
                unusable(&target.certificate, &what, &e)
            })?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Self {
            config: Arc::new(config),
            thumbprint,
        })
    }

    /// SHA-256 of our certificate.
    #[must_use]
    pub fn thumbprint(&self) -> Thumbprint {
        self.thumbprint
    }

    /// The same certificate shown to somebody else: whoever comes from these authorities.
    pub(crate) fn toward(&self, authority: &Path) -> Result<Https, Error> {
        let shown = Arc::clone(&self.config.client_auth_cert_resolver);
        Ok(Https::trusting(authority, Some(shown))?)
    }

    pub(crate) fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.config)
    }
}

/// Data keys travel in these sessions and health data live for decades: the key exchange that a
/// quantum computer of the future does not undo comes first (X25519MLKEM768,
/// draft-ietf-tls-ecdhe-mlkem), the classical ones after it.
fn provider() -> CryptoProvider {
    use aws_lc_rs::kx_group::{SECP256R1, SECP384R1, X25519, X25519MLKEM768};
    CryptoProvider {
        kx_groups: vec![X25519MLKEM768, X25519, SECP256R1, SECP384R1],
        ..aws_lc_rs::default_provider()
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let pem = read(path)?;
    let found = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| unusable(path, "a PEM certificate", &e))?;
    if found.is_empty() {
        return Err(unusable(path, "a PEM certificate", &"there is none in it"));
    }
    Ok(found)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, Error> {
    let pem = read_private("the private key", path)?;
    PrivateKeyDer::from_pem_slice(&pem).map_err(|e| unusable(path, "a PEM private key", &e))
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|e| Error::file(&format!("read {}", path.display()), &e))
}

fn unusable(path: &Path, what: &str, why: &dyn std::fmt::Display) -> Error {
    Error::new(
        Kind::Tls,
        format!("{} is not {what}: {why}", path.display()),
    )
}

//! Who we are to the service, and whom we trust.

use crate::{Error, Kind, Target, read_private};
use kms_core::certificate::Scheme;
use kms_openid::{Https, Thumbprint};
use rustls::client::ResolvesClientCert;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::sign::{CertifiedKey, SigningKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::path::Path;
use std::sync::Arc;

/// The certificate and key that we show, and the authority that the service's certificate must
/// come from: three PEM files.
#[derive(Clone)]
pub struct Identity {
    config: Arc<ClientConfig>,
    key: Arc<dyn SigningKey>,
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
        let provider = provider();
        let mismatch = |e: &dyn std::fmt::Display| {
            let what = format!("the certificate that goes with {}", target.key.display());
            unusable(&target.certificate, &what, e)
        };
        let key = provider
            .key_provider
            .load_private_key(key)
            .map_err(|e| unusable(&target.key, "a private key of a kind that TLS knows", &e))?;
        let certified = CertifiedKey::new(chain, Arc::clone(&key));
        certified.keys_match().map_err(|e| mismatch(&e))?;
        let shown: Arc<dyn ResolvesClientCert> = Arc::new(SingleCertAndKey::from(certified));
        // TLS 1.3 only: the service speaks nothing older, and its handshake hides who we are.
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|e| Error::new(Kind::Internal, format!("TLS cannot be set up: {e}")))?
            .with_root_certificates(roots)
            .with_client_cert_resolver(shown);
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Self {
            config: Arc::new(config),
            key,
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

    /// Signs with the private key, by the scheme that fits it best of those that approvals have.
    ///
    /// # Errors
    /// [`Kind::Tls`] when the key has none of them.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<(Scheme, Vec<u8>), Error> {
        let chosen = Scheme::ALL.into_iter().find_map(|scheme| {
            let signer = self
                .key
                .choose_scheme(&[SignatureScheme::from(scheme.code())])?;
            Some((scheme, signer))
        });
        let (scheme, signer) = chosen.ok_or_else(|| {
            let sentence = "approvals are signed with Ed25519, ECDSA on P-256 or P-384, or RSA-PSS; \
                            your certificate's key can do none of these";
            Error::new(Kind::Tls, sentence)
        })?;
        let signature = signer
            .sign(message)
            .map_err(|e| Error::new(Kind::Internal, format!("cannot sign: {e}")))?;
        Ok((scheme, signature))
    }

    pub(crate) fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.config)
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identity { redacted }")
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use kms_core::certificate::Certificate;
    use rcgen::{CertificateParams, KeyPair, SanType};
    use std::os::unix::fs::PermissionsExt;

    fn identity(
        algorithm: &'static rcgen::SignatureAlgorithm,
    ) -> (Result<Identity, Error>, Certificate) {
        let place = tempfile::tempdir().unwrap();
        let key = KeyPair::generate_for(algorithm).unwrap();
        let mut params = CertificateParams::default();
        let uri = "spiffe://dev.example/person/carl".try_into().unwrap();
        params.subject_alt_names = vec![SanType::URI(uri)];
        let certificate = params.self_signed(&key).unwrap();
        let (pem, secret) = (place.path().join("c.pem"), place.path().join("c.key"));
        std::fs::write(&pem, certificate.pem()).unwrap();
        std::fs::write(&secret, key.serialize_pem()).unwrap();
        std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
        let target = Target {
            endpoint: "https://localhost:1".into(),
            ca: pem.clone(),
            certificate: pem,
            key: secret,
        };
        let parsed = Certificate::parse(certificate.der()).unwrap();
        (Identity::load(&target), parsed)
    }

    #[test]
    fn every_sort_of_key_signs_by_a_scheme_that_verifies() {
        for (algorithm, scheme) in [
            (&rcgen::PKCS_ED25519, Scheme::Ed25519),
            (&rcgen::PKCS_ECDSA_P256_SHA256, Scheme::EcdsaP256),
            (&rcgen::PKCS_ECDSA_P384_SHA384, Scheme::EcdsaP384),
            (&rcgen::PKCS_RSA_SHA256, Scheme::RsaPss),
        ] {
            let (identity, certificate) = identity(algorithm);
            let (signed, signature) = identity.unwrap().sign(b"terms").unwrap();
            assert_eq!(signed, scheme);
            certificate.verify(signed, b"terms", &signature).unwrap();
            assert!(certificate.verify(signed, b"others", &signature).is_err());
        }
    }

    #[test]
    fn a_key_that_approvals_do_not_know_is_told_so() {
        let (identity, _) = identity(&rcgen::PKCS_ECDSA_P521_SHA512);
        let refused = identity.unwrap().sign(b"terms").unwrap_err();
        assert_eq!(refused.kind(), Kind::Tls);
        assert!(refused.to_string().contains("RSA-PSS"), "{refused}");
    }
}

//! Who may finish a handshake: a certificate of our authority, with one identity of our trust
//! domain.

use kms_core::caller::{Identity, TrustDomain};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
};
use std::sync::Arc;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer, X509Certificate};

/// The ordinary verification of client certificates, and our demands on the identity beside.
#[derive(Debug)]
pub(super) struct IdentityVerifier {
    ordinary: Arc<dyn ClientCertVerifier>,
    trust_domain: TrustDomain,
}

impl IdentityVerifier {
    /// Certificates of these authorities, for this trust domain.
    pub(super) fn new(
        authorities: RootCertStore,
        provider: Arc<CryptoProvider>,
        trust_domain: TrustDomain,
    ) -> Result<Self, String> {
        let ordinary = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), provider)
            .build()
            .map_err(|e| format!("client authority: {e}"))?;
        Ok(IdentityVerifier {
            ordinary,
            trust_domain,
        })
    }
}

impl ClientCertVerifier for IdentityVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.ordinary.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self
            .ordinary
            .verify_client_cert(end_entity, intermediates, now)?;
        match identity(end_entity) {
            Some(identity) if identity.trust_domain == self.trust_domain => Ok(verified),
            Some(_) | None => Err(Error::InvalidCertificate(
                CertificateError::ApplicationVerificationFailure,
            )),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.ordinary.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.ordinary.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.ordinary.supported_verify_schemes()
    }
}

/// The identity of a certificate: its one URI among its alternative names. A certificate with none
/// or several is nobody's (SPIFFE X509-SVID section 2).
pub(super) fn identity(certificate: &CertificateDer<'_>) -> Option<Identity> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let mut uris = certificate.extensions().iter().flat_map(|extension| {
        let ParsedExtension::SubjectAlternativeName(names) = extension.parsed_extension() else {
            return vec![];
        };
        let uri = |name| {
            if let GeneralName::URI(uri) = name {
                Some(uri.to_owned())
            } else {
                None
            }
        };
        names
            .general_names
            .clone()
            .into_iter()
            .filter_map(uri)
            .collect()
    });
    let (first, second) = (uris.next(), uris.next());
    match (first, second) {
        (Some(uri), None) => uri.parse().ok(),
        (None | Some(_), _) => None,
    }
}

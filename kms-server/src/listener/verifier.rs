//! Who may finish a handshake: a certificate of our authority, not revoked, with one identity of
//! our trust domain where callers come.

use super::reason::Undecided;
use kms_core::caller::TrustDomain;
use kms_core::certificate::Certificate;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
};
use std::sync::Arc;

/// Whom a listener lets in.
#[derive(Debug, Clone)]
pub enum Admits {
    /// Callers: a certificate with exactly one identity, of this trust domain.
    Callers(TrustDomain),
    /// Whoever reads metrics: any certificate of the authority.
    Anyone,
}

/// The ordinary verification of client certificates, and our demands on the identity beside.
#[derive(Debug)]
pub(super) struct Verifier {
    ordinary: Arc<dyn ClientCertVerifier>,
    admits: Admits,
}

impl Verifier {
    /// Certificates of these authorities that are in none of these lists. Where there are lists
    /// each certificate of a chain must be covered by one that has not ended.
    pub(super) fn new(
        authorities: RootCertStore,
        lists: Vec<CertificateRevocationListDer<'static>>,
        provider: Arc<CryptoProvider>,
        admits: Admits,
    ) -> Result<Self, String> {
        let ordinary = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), provider)
            .with_crls(lists)
            .enforce_revocation_expiration()
            .build()
            .map_err(|e| e.to_string())?;
        Ok(Verifier { ordinary, admits })
    }
}

impl ClientCertVerifier for Verifier {
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
            .verify_client_cert(end_entity, intermediates, now)
            .map_err(Undecided::or)?;
        let admitted = match &self.admits {
            Admits::Callers(domain) => Certificate::parse(end_entity)
                .is_ok_and(|certificate| certificate.identity().trust_domain == *domain),
            Admits::Anyone => true,
        };
        if admitted {
            Ok(verified)
        } else {
            Err(Error::InvalidCertificate(
                CertificateError::ApplicationVerificationFailure,
            ))
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

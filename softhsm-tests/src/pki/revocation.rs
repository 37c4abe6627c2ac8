//! Lists of revoked certificates.

use std::{fs, path::Path};

use rcgen::{
    CertificateParams, CertificateRevocationListParams, KeyIdMethod, RevocationReason,
    RevokedCertParams, SerialNumber,
};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::{Authority, Identity, cannot_issue, forged::valid_for};
use crate::Failure;

/// What a revocation list says.
#[derive(Debug, Clone)]
pub struct Revoked<'a> {
    /// Its number: a later list has a greater one.
    pub number: u64,
    /// From when to when it holds, in seconds from now.
    pub valid: (i64, i64),
    /// Whose certificates.
    pub certificates: Vec<&'a Identity>,
}

impl Authority {
    /// The authority's list, as the file `path`. As whoever publishes lists should, it writes
    /// another file and renames it.
    ///
    /// # Errors
    /// When it cannot be made or written.
    pub fn list(&self, path: &Path, revoked: &Revoked<'_>) -> Result<(), Failure> {
        let mut times = CertificateParams::default();
        valid_for(&mut times, revoked.valid.0, revoked.valid.1);
        let certificates = revoked.certificates.iter().map(|identity| {
            let der = CertificateDer::from_pem_file(&identity.certificate)
                .map_err(Failure::with_file("read", &identity.certificate))?;
            let (_, certificate) = X509Certificate::from_der(&der)
                .map_err(Failure::with_file("read", &identity.certificate))?;
            Ok(RevokedCertParams {
                serial_number: SerialNumber::from_slice(certificate.raw_serial()),
                revocation_time: times.not_before,
                reason_code: Some(RevocationReason::KeyCompromise),
                invalidity_date: None,
            })
        });
        let list = CertificateRevocationListParams {
            this_update: times.not_before,
            next_update: times.not_after,
            crl_number: SerialNumber::from(revoked.number),
            issuing_distribution_point: None,
            revoked_certs: certificates.collect::<Result<_, Failure>>()?,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = list.signed_by(&self.issuer).map_err(cannot_issue)?;
        let new = path.with_extension("new");
        fs::write(&new, list.pem().map_err(cannot_issue)?)
            .and_then(|()| fs::rename(&new, path))
            .map_err(Failure::with_file("write", path))
    }
}

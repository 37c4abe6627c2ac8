//! The authorities of clients' certificates, for whoever verifies a log years later.

use kms_client::{Error, Kind};
use kms_core::proposal::Approval;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use std::path::{Path, PathBuf};
use std::time::Duration;
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage, anchor_from_trusted_cert};

/// Certificate authorities that are trusted.
#[derive(Debug)]
pub(crate) struct Authorities(Vec<TrustAnchor<'static>>);

impl Authorities {
    /// Reads PEM files; each certificate in them is trusted, as in the server's `client_ca`.
    pub(crate) fn read(files: &[PathBuf]) -> Result<Self, Error> {
        let mut anchors = Vec::new();
        for file in files {
            anchors.extend(anchors_of(file)?);
        }
        Ok(Self(anchors))
    }

    /// Whether one of them vouched for the custodian's certificate when it was used.
    pub(crate) fn vouch(&self, approval: &Approval) -> Result<(), Error> {
        let der = CertificateDer::from(approval.certificate.der());
        let then = UnixTime::since_unix_epoch(Duration::from_millis(approval.time.0));
        let client = KeyUsage::client_auth();
        let vouched = EndEntityCert::try_from(&der).and_then(|certificate| {
            let (algorithms, anchors) = (ALL_VERIFICATION_ALGS, self.0.as_slice());
            certificate
                .verify_for_usage(algorithms, anchors, &[], then, client, None, None)
                .map(drop)
        });
        vouched.map_err(|e| {
            let sentence = format!(
                "an approval by {} does not verify: no authority vouched for the certificate {} \
                 at that time ({e})",
                approval.custodian,
                approval.certificate.fingerprint()
            );
            Error::new(Kind::Invalid, sentence)
        })
    }
}

fn anchors_of(file: &Path) -> Result<Vec<TrustAnchor<'static>>, Error> {
    let unusable = |why: &dyn std::fmt::Display| {
        let sentence = format!("{} is not a certificate authority: {why}", file.display());
        Error::new(Kind::Tls, sentence)
    };
    let pem =
        std::fs::read(file).map_err(|e| Error::file(&format!("read {}", file.display()), &e))?;
    let mut anchors = Vec::new();
    for der in CertificateDer::pem_slice_iter(&pem) {
        let der = der.map_err(|e| unusable(&e))?;
        let anchor = anchor_from_trusted_cert(&der).map_err(|e| unusable(&e))?;
        anchors.push(anchor.to_owned());
    }
    if anchors.is_empty() {
        return Err(unusable(&"there is no PEM certificate in it"));
    }
    Ok(anchors)
}

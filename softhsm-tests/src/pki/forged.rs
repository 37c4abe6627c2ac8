//! Certificates of any form: short lives, forged names, authorities below the authority.

use std::{fs, time::Duration};

use jiff::Timestamp;
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair, date_time_ymd};

use super::{Authority, Identity, cannot_issue, leaf_parameters, stem, write_private};
use crate::Failure;

impl Authority {
    /// A client's certificate with anything changed, made anew on each call as
    /// `{kind}-{id}-{name}.pem`.
    ///
    /// # Errors
    /// As [`Authority::client`].
    pub fn forged(
        &self,
        principal: &str,
        name: &str,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Result<Identity, Failure> {
        let mut parameters = leaf_parameters(principal, ExtendedKeyUsagePurpose::ClientAuth);
        parameters.subject_alt_names = vec![self.uri(principal)?];
        change(&mut parameters);
        let identity = self.identity(principal, &format!("{}-{name}", stem(principal)?));
        let key = KeyPair::generate().map_err(cannot_issue)?;
        let certificate = parameters.signed_by(&key, &self.issuer);
        self.write(&identity, &certificate.map_err(cannot_issue)?.pem(), &key)?;
        Ok(identity)
    }

    /// Whoever issues with the certificate that this authority gives it, in a directory of
    /// that name below: an intermediate authority, or somebody who is none at all.
    ///
    /// # Errors
    /// As [`Authority::create`].
    pub fn below(
        &self,
        name: &str,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Result<Self, Failure> {
        let directory = self.directory.join(name);
        fs::create_dir_all(&directory).map_err(Failure::with_file("create", &directory))?;
        let mut parameters = leaf_parameters(name, ExtendedKeyUsagePurpose::ClientAuth);
        change(&mut parameters);
        let key = KeyPair::generate().map_err(cannot_issue)?;
        let certificate = parameters
            .signed_by(&key, &self.issuer)
            .map_err(cannot_issue)?;
        write_private(&directory.join("ca.key"), key.serialize_pem().as_bytes())?;
        let file = directory.join("ca.pem");
        fs::write(&file, certificate.pem()).map_err(Failure::with_file("write", &file))?;
        Ok(Self {
            above: format!("{}{}", certificate.pem(), self.above),
            anchor: self.anchor.clone(),
            trust_domain: self.trust_domain.clone(),
            issuer: Issuer::new(parameters, key),
            directory,
        })
    }
}

/// From one moment to another, in seconds from now.
pub fn valid_for(parameters: &mut CertificateParams, from: i64, to: i64) {
    let now = Timestamp::now().as_second();
    let moment = |offset: i64| {
        let seconds = now.saturating_add(offset).unsigned_abs();
        date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds)
    };
    parameters.not_before = moment(from);
    parameters.not_after = moment(to);
}

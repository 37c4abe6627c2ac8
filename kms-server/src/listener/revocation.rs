//! Lists of revoked certificates (RFC 5280 section 5), read strictly: a list that could lock
//! everybody out, or let a revoked one back in, is refused while it is still only a file.

use super::expiry::{Lifetime, Subject};
use super::trust::Seconds;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, SubjectPublicKeyInfoDer};
use std::path::Path;
use webpki::RawPublicKeyEntity;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};

/// The lists of a listener.
#[derive(Debug, Default)]
pub(super) struct Lists(Vec<List>);

#[derive(Debug)]
struct List {
    der: CertificateRevocationListDer<'static>,
    issuer: Vec<u8>,
    /// Its sequence number; RFC 5280 section 5.2.3 asks for one, some authorities have none.
    number: Option<Vec<u8>>,
    /// It covers a part of what its issuer issued.
    partial: bool,
    lifetime: Lifetime,
}

impl Lists {
    /// Takes in the lists of one file.
    pub(super) fn add(&mut self, path: &Path, pem: &[u8]) -> Result<(), String> {
        let said = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
        let mut found = false;
        for der in CertificateRevocationListDer::pem_slice_iter(pem) {
            let der = der.map_err(|e| said(&e))?;
            self.0.push(List::parse(path, der).map_err(|e| said(&e))?);
            found = true;
        }
        if found {
            Ok(())
        } else {
            Err(said(
                &"there is no revocation list (BEGIN X509 CRL) in it; `openssl crl -inform DER` \
                  makes one of a DER file",
            ))
        }
    }

    /// Makes sure that these lists can decide about everything that these authorities issue, and
    /// are not older than those before.
    pub(super) fn fit(
        &self,
        authorities: &[CertificateDer<'_>],
        before: Option<&Lists>,
        provider: &CryptoProvider,
    ) -> Result<(), String> {
        if self.0.is_empty() {
            return Ok(());
        }
        for (i, list) in self.0.iter().enumerate() {
            let twin = |other: &&List| other.issuer == list.issuer;
            let others = self.0.iter().skip(i + 1).filter(twin);
            if others.into_iter().any(|o| !(o.partial && list.partial)) {
                return Err(list.said(
                    "there are two revocation lists of one issuer; leave the newer one (a new \
                     authority needs a new name)",
                ));
            }
            for former in before.into_iter().flat_map(|l| &l.0).filter(twin) {
                if list.partial == former.partial && list.is_older_than(former) {
                    return Err(list.said(
                        "this revocation list is older than the one in force: what was revoked \
                         since would be let in again",
                    ));
                }
            }
        }
        for der in authorities {
            let (_, authority) = X509Certificate::from_der(der).map_err(|e| e.to_string())?;
            let mut lists = self
                .0
                .iter()
                .filter(|list| list.issuer == authority.subject().as_raw())
                .peekable();
            if lists.peek().is_none() {
                return Err(format!(
                    "client_crl has no list of the authority \"{}\" of client_ca: all of its \
                     certificates would be refused",
                    authority.subject()
                ));
            }
            let key = SubjectPublicKeyInfoDer::from(authority.public_key().raw);
            for list in lists {
                if !list.is_signed_by(&key, provider) {
                    return Err(list.said(
                        "the authority of client_ca with the name of its issuer did not sign it",
                    ));
                }
            }
        }
        Ok(())
    }

    /// What the verification takes.
    pub(super) fn der(&self) -> Vec<CertificateRevocationListDer<'static>> {
        self.0.iter().map(|list| list.der.clone()).collect()
    }

    /// From when to when each of them holds.
    pub(super) fn lifetimes(&self) -> impl Iterator<Item = &Lifetime> {
        self.0.iter().map(|list| &list.lifetime)
    }
}

impl List {
    fn parse(path: &Path, der: CertificateRevocationListDer<'static>) -> Result<Self, String> {
        let wrong = |e: &dyn std::fmt::Display| format!("this is no revocation list: {e}");
        let (_, list) = CertificateRevocationList::from_der(&der).map_err(|e| wrong(&e))?;
        let seconds = |time: i64| Seconds::try_from(time).unwrap_or(0);
        let until = list
            .next_update()
            .ok_or("the revocation list does not say when the next one comes (nextUpdate)")?;
        let partial = list.extensions().iter().any(|extension| {
            matches!(
                extension.parsed_extension(),
                ParsedExtension::IssuingDistributionPoint(_)
            )
        });
        let lifetime = Lifetime {
            subject: Subject::RevocationList,
            path: path.to_owned(),
            from: seconds(list.last_update().timestamp()),
            until: seconds(until.timestamp()),
        };
        let (issuer, number) = (
            list.issuer().as_raw().to_vec(),
            list.crl_number().map(|number| number.to_bytes_be()),
        );
        Ok(List {
            issuer,
            number,
            partial,
            lifetime,
            der,
        })
    }

    fn is_older_than(&self, other: &List) -> bool {
        match (&self.number, &other.number) {
            (Some(mine), Some(theirs)) => (mine.len(), mine) < (theirs.len(), theirs),
            (None | Some(_), _) => self.lifetime.from < other.lifetime.from,
        }
    }

    /// Whether this key signed it, in any way that we know; the verification of a certificate asks
    /// again, strictly.
    fn is_signed_by(&self, key: &SubjectPublicKeyInfoDer<'_>, provider: &CryptoProvider) -> bool {
        let Ok((_, list)) = CertificateRevocationList::from_der(&self.der) else {
            return false;
        };
        let Ok(key) = RawPublicKeyEntity::try_from(key) else {
            return false;
        };
        let algorithms = provider.signature_verification_algorithms.all;
        algorithms.iter().any(|algorithm| {
            key.verify_signature(
                *algorithm,
                list.tbs_cert_list.as_ref(),
                &list.signature_value.data,
            )
            .is_ok()
        })
    }

    fn said(&self, why: &str) -> String {
        format!("{}: {why}", self.lifetime.path.display())
    }
}

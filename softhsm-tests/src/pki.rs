//! A public key infrastructure for development: one authority, a server, people and
//! services. Nothing of this belongs on a production machine.

use std::{
    fs,
    io::Write as _,
    net::{IpAddr, Ipv4Addr},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use jiff::{ToSpan as _, Zoned, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};

use crate::Failure;

mod forged;
mod revocation;

pub use forged::valid_for;
pub use revocation::Revoked;

/// A certificate authority in a directory: `ca.pem`, `ca.key`, and what it issues as
/// `{kind}-{id}.pem` and `{kind}-{id}.key` (P-256, PKCS#8).
#[derive(Debug)]
pub struct Authority {
    directory: PathBuf,
    trust_domain: String,
    issuer: Issuer<'static, KeyPair>,
    /// PEM certificates between it and the authority that everybody trusts.
    above: String,
    anchor: PathBuf,
}

/// A certificate with its private key, both PEM files, and the authority that its owner
/// trusts.
#[derive(Debug, Clone)]
pub struct Identity {
    /// `person/olivia`, `service/lyon-etl`.
    pub principal: String,
    /// The certificate chain.
    pub certificate: PathBuf,
    /// The private key, PKCS#8, mode 0600.
    pub key: PathBuf,
    /// The authority whose servers the owner trusts.
    pub ca: PathBuf,
}

impl Identity {
    /// The last part of the principal, which is also the name of its client context.
    pub fn id(&self) -> &str {
        self.principal.rsplit('/').next().unwrap_or_default()
    }
}

/// What is wrong with a client certificate on purpose; every one must be refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// Its last day was yesterday or before.
    Expired,
    /// Its first day is a month ahead.
    NotYetValid,
    /// Signed by its own key, in the name of the right person.
    SelfSigned,
    /// Signed by its own key, and an authority: what `openssl req -x509` makes.
    SelfSignedAuthority,
    /// Signed by another authority of the same name.
    OtherAuthority,
    /// Signed by the right authority, but for a person of `spiffe://other.example`.
    OtherTrustDomain,
    /// No URI among its subject alternative names.
    NoUri,
    /// Two identities in one certificate.
    TwoUris,
    /// The extended key usage of a server, not of a client.
    ServerUsage,
}

impl Authority {
    /// Opens the authority of `directory`, or makes one for `trust_domain`.
    ///
    /// # Errors
    /// When the directory cannot be written or holds a key that cannot be read.
    pub fn create(directory: &Path, trust_domain: &str) -> Result<Self, Failure> {
        fs::create_dir_all(directory).map_err(Failure::with_file("create", directory))?;
        let key_file = directory.join("ca.key");
        let parameters = authority_parameters(trust_domain);
        let key = if key_file.exists() {
            let pem =
                fs::read_to_string(&key_file).map_err(Failure::with_file("read", &key_file))?;
            KeyPair::from_pem(&pem).map_err(Failure::with_file("use", &key_file))?
        } else {
            let key = KeyPair::generate().map_err(cannot_issue)?;
            let certificate = parameters.self_signed(&key).map_err(cannot_issue)?;
            let file = directory.join("ca.pem");
            fs::write(&file, certificate.pem()).map_err(Failure::with_file("write", &file))?;
            write_private(&key_file, key.serialize_pem().as_bytes())?;
            key
        };
        Ok(Self {
            directory: directory.to_owned(),
            trust_domain: trust_domain.to_owned(),
            issuer: Issuer::new(parameters, key),
            above: String::new(),
            anchor: directory.join("ca.pem"),
        })
    }

    /// The authority's own certificate.
    pub fn certificate(&self) -> PathBuf {
        self.directory.join("ca.pem")
    }

    /// The server's certificate, `server.pem` and `server.key`: `localhost`, 127.0.0.1 and
    /// `spiffe://{trust-domain}/service/kms-server`, 90 days. One that exists is kept.
    ///
    /// # Errors
    /// When it cannot be made or written.
    pub fn server(&self) -> Result<Identity, Failure> {
        let mut parameters = leaf_parameters("kms-server", ExtendedKeyUsagePurpose::ServerAuth);
        parameters.subject_alt_names = vec![
            SanType::DnsName("localhost".try_into().map_err(cannot_issue)?),
            SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            self.uri("service/kms-server")?,
        ];
        let identity = self.identity("service/kms-server", "server");
        self.issue_once(&identity, &parameters)?;
        Ok(identity)
    }

    /// A client's certificate for `person/{id}` or `service/{id}`: exactly one URI,
    /// `spiffe://{trust-domain}/{principal}`, 90 days. One that exists is kept.
    ///
    /// # Errors
    /// When the principal has another form, or the certificate cannot be made or written.
    pub fn client(&self, principal: &str) -> Result<Identity, Failure> {
        let stem = stem(principal)?;
        let mut parameters = leaf_parameters(principal, ExtendedKeyUsagePurpose::ClientAuth);
        parameters.subject_alt_names = vec![self.uri(principal)?];
        let identity = self.identity(principal, &stem);
        self.issue_once(&identity, &parameters)?;
        Ok(identity)
    }

    /// A client's certificate that is wrong in exactly one way, made anew on each call as
    /// `{kind}-{id}-{flaw}.pem`.
    ///
    /// # Errors
    /// As [`Authority::client`].
    pub fn flawed(&self, principal: &str, flaw: Flaw) -> Result<Identity, Failure> {
        let mut parameters = leaf_parameters(principal, ExtendedKeyUsagePurpose::ClientAuth);
        parameters.subject_alt_names = vec![self.uri(principal)?];
        match flaw {
            Flaw::Expired => valid(&mut parameters, -30, -1),
            Flaw::NotYetValid => valid(&mut parameters, 30, 90),
            Flaw::OtherTrustDomain => {
                parameters.subject_alt_names = vec![uri("other.example", principal)?];
            }
            Flaw::NoUri => {
                let name = "client.example".try_into().map_err(cannot_issue)?;
                parameters.subject_alt_names = vec![SanType::DnsName(name)];
            }
            Flaw::TwoUris => {
                parameters
                    .subject_alt_names
                    .push(self.uri("person/somebody-else")?);
            }
            Flaw::ServerUsage => {
                parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            }
            Flaw::SelfSignedAuthority => {
                parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            }
            Flaw::SelfSigned | Flaw::OtherAuthority => {}
        }
        let identity = self.identity(principal, &format!("{}-{flaw:?}", stem(principal)?));
        let key = KeyPair::generate().map_err(cannot_issue)?;
        let certificate = match flaw {
            Flaw::SelfSigned | Flaw::SelfSignedAuthority => parameters.self_signed(&key),
            Flaw::OtherAuthority => {
                let other = KeyPair::generate().map_err(cannot_issue)?;
                let names = authority_parameters(&self.trust_domain);
                parameters.signed_by(&key, &Issuer::new(names, other))
            }
            Flaw::Expired
            | Flaw::NotYetValid
            | Flaw::OtherTrustDomain
            | Flaw::NoUri
            | Flaw::TwoUris
            | Flaw::ServerUsage => parameters.signed_by(&key, &self.issuer),
        };
        self.write(&identity, &certificate.map_err(cannot_issue)?.pem(), &key)?;
        Ok(identity)
    }

    /// Signs and writes unless both files are there.
    fn issue_once(
        &self,
        identity: &Identity,
        parameters: &CertificateParams,
    ) -> Result<(), Failure> {
        if identity.certificate.exists() && identity.key.exists() {
            return Ok(());
        }
        let key = KeyPair::generate().map_err(cannot_issue)?;
        let certificate = parameters
            .signed_by(&key, &self.issuer)
            .map_err(cannot_issue)?;
        self.write(identity, &certificate.pem(), &key)
    }

    fn write(&self, identity: &Identity, certificate: &str, key: &KeyPair) -> Result<(), Failure> {
        write_private(&identity.key, key.serialize_pem().as_bytes())?;
        fs::write(
            &identity.certificate,
            format!("{certificate}{}", self.above),
        )
        .map_err(Failure::with_file("write", &identity.certificate))
    }

    fn identity(&self, principal: &str, stem: &str) -> Identity {
        Identity {
            principal: principal.to_owned(),
            certificate: self.directory.join(format!("{stem}.pem")),
            key: self.directory.join(format!("{stem}.key")),
            ca: self.anchor.clone(),
        }
    }

    fn uri(&self, principal: &str) -> Result<SanType, Failure> {
        uri(&self.trust_domain, principal)
    }
}

/// Writes a file that only its owner may read, whatever it was before.
///
/// # Errors
/// When it cannot be written.
pub fn write_private(path: &Path, content: &[u8]) -> Result<(), Failure> {
    let write = || -> std::io::Result<()> {
        if path.exists() {
            fs::remove_file(path)?;
        }
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        file.write_all(content)
    };
    write().map_err(Failure::with_file("write", path))
}

/// `person/olivia` is kept in files `person-olivia.*`.
fn stem(principal: &str) -> Result<String, Failure> {
    match principal.split_once('/') {
        Some((kind @ ("person" | "service"), id))
            if !id.is_empty()
                && id
                    .bytes()
                    .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-')) =>
        {
            Ok(format!("{kind}-{id}"))
        }
        _ => Err(Failure::new(format!(
            "{principal:?} is no identity: write person/ID or service/ID, \
             ID in lower-case letters, digits and hyphens"
        ))),
    }
}

fn uri(trust_domain: &str, principal: &str) -> Result<SanType, Failure> {
    let uri = format!("spiffe://{trust_domain}/{principal}");
    Ok(SanType::URI(uri.as_str().try_into().map_err(cannot_issue)?))
}

/// The same for the same trust domain, so that an authority can be opened again from its
/// key alone.
fn authority_parameters(trust_domain: &str) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = common_name(&format!("development CA of {trust_domain}"));
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    valid(&mut parameters, -1, 366);
    parameters
}

fn leaf_parameters(name: &str, usage: ExtendedKeyUsagePurpose) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = common_name(name);
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![usage];
    parameters.use_authority_key_identifier_extension = true;
    valid(&mut parameters, -1, 90);
    parameters
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

/// From one midnight UTC to another, in days from today.
fn valid(parameters: &mut CertificateParams, from: i64, to: i64) {
    let today = Zoned::now().with_time_zone(TimeZone::UTC).date();
    let midnight = |offset: i64| {
        let date = today.saturating_add(offset.days());
        let [month, day] = [date.month(), date.day()].map(i8::unsigned_abs);
        date_time_ymd(i32::from(date.year()), month, day)
    };
    parameters.not_before = midnight(from);
    parameters.not_after = midnight(to);
}

fn cannot_issue(cause: rcgen::Error) -> Failure {
    Failure::because("cannot issue a certificate", cause)
}

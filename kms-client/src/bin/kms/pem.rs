//! Public keys as OpenSSL reads and writes them.

use data_encoding::BASE64;
use kms_client::{Error, Kind};
use rustls_pki_types::SubjectPublicKeyInfoDer;
use rustls_pki_types::pem::PemObject;
use std::path::Path;

/// The SubjectPublicKeyInfo, DER, in a file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let text =
        std::fs::read(path).map_err(|e| Error::file(&format!("read {}", path.display()), &e))?;
    match SubjectPublicKeyInfoDer::from_pem_slice(&text) {
        Ok(key) => Ok(key.as_ref().to_vec()),
        Err(_) => Err(Error::new(
            Kind::Invalid,
            format!("{} is no public key in PEM", path.display()),
        )),
    }
}

/// As text (RFC 7468 section 13).
pub(crate) fn pem(der: &[u8]) -> String {
    let text = BASE64.encode(der);
    let mut pem = "-----BEGIN PUBLIC KEY-----\n".to_owned();
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at_checked(64).unwrap_or((rest, ""));
        pem.push_str(line);
        pem.push('\n');
        rest = after;
    }
    pem.push_str("-----END PUBLIC KEY-----\n");
    pem
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_public_key_reads_back_from_its_pem() {
        for length in [1, 47, 48, 49, 422] {
            let der: Vec<u8> = (0..=255).cycle().take(length).collect();
            let text = pem(&der);
            assert!(text.lines().all(|line| line.len() <= 64));
            let read = SubjectPublicKeyInfoDer::from_pem_slice(text.as_bytes()).unwrap();
            assert_eq!(read.as_ref(), der);
        }
    }
}

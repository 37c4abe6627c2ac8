//! What the files of a listener hold, read together.

use crate::config::TlsFiles;
use sha2::{Digest as _, Sha256};
use std::path::Path;
use zeroize::Zeroizing;

/// The bytes of every file of a listener.
pub(super) struct Contents {
    pub(super) certificate: Vec<u8>,
    pub(super) key: Zeroizing<Vec<u8>>,
    pub(super) client_ca: Vec<u8>,
    pub(super) client_crl: Vec<Vec<u8>>,
}

/// SHA-256 of all of it.
pub(super) type Digest = [u8; 32];

impl Contents {
    /// Reads the files.
    pub(super) fn read(files: &TlsFiles) -> Result<Self, String> {
        Ok(Contents {
            certificate: read(&files.certificate)?,
            key: Zeroizing::new(read(&files.key)?),
            client_ca: read(&files.client_ca)?,
            client_crl: files
                .client_crl
                .iter()
                .map(|path| read(path))
                .collect::<Result<_, _>>()?,
        })
    }

    pub(super) fn digest(&self) -> Digest {
        let mut digest = Sha256::new();
        let lists = self.client_crl.iter().map(Vec::as_slice);
        for file in [&*self.certificate, &self.key, &self.client_ca]
            .into_iter()
            .chain(lists)
        {
            digest.update(Sha256::digest(file));
        }
        digest.finalize().into()
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|e| format!("cannot read {}: {e}", path.display()))
}

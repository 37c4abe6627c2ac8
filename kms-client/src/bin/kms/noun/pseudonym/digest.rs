//! What a file holds, in one number: it must be the same file when it is read again.

use kms_client::Error;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// SHA-256 of a file, in hexadecimal.
pub(super) fn digest_of(path: &Path) -> Result<String, Error> {
    let failed = |e: io::Error| Error::file(&format!("read {}", path.display()), &e);
    let mut file = File::open(path).map_err(failed)?;
    let mut digest = BufWriter::with_capacity(1 << 16, Hash(Sha256::new()));
    io::copy(&mut file, &mut digest).map_err(failed)?;
    let hash = digest.into_inner().map_err(|e| failed(e.into_error()))?;
    Ok(data_encoding::HEXLOWER.encode(&hash.0.finalize()))
}

struct Hash(Sha256);

impl Write for Hash {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

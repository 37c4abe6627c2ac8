//! Envelope encryption of files and streams.

use crate::data_key::{Cache, DataKey};
use crate::header::Header;
use crate::sealed_file::{SealedFile, read_slots};
use crate::{Bounds, Client, Context, Error, Kind, Output, seal, v1};
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::Path;
use std::sync::Arc;

/// Seals and opens files under data-at-rest keys. The content never leaves this machine: the
/// service only makes and unwraps the data keys. Several files may share a data key, within
/// [`Bounds`]; each has its own age file key and nonce.
#[derive(Debug)]
pub struct Envelopes {
    client: Client,
    sealing: Cache<(String, Context)>,
    opening: Cache<(Wrapped, Context)>,
}

/// The name of a key, and a data key wrapped under it.
type Wrapped = (String, Vec<u8>);

/// What was sealed or opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The version of the key that wraps the data key.
    pub version: String,
    /// Of content, in bytes.
    pub bytes: u64,
}

/// What re-wrapping did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewrapped {
    /// The version that wrapped the data key before.
    pub former_version: String,
    /// The version that wraps it now, the primary one.
    pub version: String,
    /// Whether the file was written: not when it was under the primary version already and whole.
    pub written: bool,
}

impl Envelopes {
    /// Envelopes of one service.
    #[must_use]
    pub fn new(client: Client, bounds: Bounds) -> Self {
        Self {
            client,
            sealing: Cache::new(bounds),
            opening: Cache::new(bounds),
        }
    }

    /// Seals `input` as `output`, which must not exist yet; it appears whole or not at all.
    ///
    /// # Errors
    /// As [`Envelopes::seal`]; [`Kind::Io`] for the files.
    pub async fn seal_file(
        &self,
        key: &str,
        context: &Context,
        input: &Path,
        output: &Path,
    ) -> Result<Sealed, Error> {
        let content = open_file(input)?;
        let output = Output::file(output, false)?;
        let (sealed, output) = self.seal(key, context, content, output).await?;
        output.commit()?;
        Ok(sealed)
    }

    /// Opens the file `input` as `output`, which must not exist yet; it appears whole or not at
    /// all.
    ///
    /// # Errors
    /// As [`Envelopes::open`]; [`Kind::Io`] for the files.
    pub async fn open_file(
        &self,
        key: Option<&str>,
        context: &Context,
        input: &Path,
        output: &Path,
    ) -> Result<Sealed, Error> {
        let sealed = open_file(input)?;
        let output = Output::file(output, false)?;
        let (opened, output) = self.open(key, context, sealed, output).await?;
        output.commit()?;
        Ok(opened)
    }

    /// Seals a stream under `key`, `spaces/{space}/keys/{key}`; gives `output` back when all of it
    /// is written. Memory does not grow with the size of the stream.
    ///
    /// # Errors
    /// What the service answers, before anything is written; then [`Kind::Io`]. After an error
    /// `output` is dropped half written.
    pub async fn seal<R, W>(
        &self,
        key: &str,
        context: &Context,
        input: R,
        mut output: W,
    ) -> Result<(Sealed, W), Error>
    where
        R: Read + Send + 'static,
        W: Write + Send + 'static,
    {
        let data_key = self.fresh(key, context).await?;
        let header = Header::new(key, data_key.wrapped())
            .and_then(|header| header.to_bytes())
            .map_err(|e| Error::new(Kind::Internal, format!("the file cannot be sealed: {e}")))?;
        in_background(move || {
            let mut buffered = BufWriter::with_capacity(BUFFER, &mut output);
            buffered
                .write_all(&header)
                .map_err(|e| Error::file("write the sealed content", &e))?;
            let bytes = seal::seal(data_key.passphrase(), input, &mut buffered)?;
            drop(buffered);
            data_key.spend(bytes);
            let version = data_key.version().to_owned();
            Ok((Sealed { version, bytes }, output))
        })
        .await
    }

    /// Opens a stream that [`Envelopes::seal`] wrote; gives `output` back when all of it is
    /// written. With `key`, a file of another key is refused: a header names its key itself, so
    /// that whoever can replace a file can replace it by one of another key that you may use too.
    ///
    /// # Errors
    /// [`Kind::Invalid`] when the stream is no sealed file, is damaged or truncated, is of another
    /// key, or the context is not the one it was sealed with; what the service answers;
    /// [`Kind::Io`]. After an error, what `output` got is not complete.
    pub async fn open<R, W>(
        &self,
        key: Option<&str>,
        context: &Context,
        mut input: R,
        mut output: W,
    ) -> Result<(Sealed, W), Error>
    where
        R: Read + Send + 'static,
        W: Write + Send + 'static,
    {
        let (slots, input) = in_background(move || Ok((read_slots(&mut input)?, input))).await?;
        let header = slots.header;
        if let Some(expected) = key
            && expected != header.key()
        {
            return Err(Error::new(
                Kind::Invalid,
                format!("it is sealed under {}, not under {expected}", header.key()),
            ));
        }
        let data_key = self.unwrapped(&header, context).await?;
        in_background(move || {
            let mut buffered = BufWriter::with_capacity(BUFFER, &mut output);
            let bytes = seal::open(data_key.passphrase(), input, &mut buffered)?;
            buffered
                .flush()
                .map_err(|e| Error::file("write the output", &e))?;
            drop(buffered);
            data_key.spend(bytes);
            let version = data_key.version().to_owned();
            Ok((Sealed { version, bytes }, output))
        })
        .await
    }

    /// Moves a sealed file to the primary version of its key: only its header changes, in place.
    /// The service shows nobody the data key. Whenever this is interrupted, the file opens as
    /// before; ask again to finish.
    ///
    /// # Errors
    /// [`Kind::Invalid`] when it is no sealed file or the context is not the one it was sealed
    /// with; what the service answers; [`Kind::Io`].
    pub async fn rewrap(&self, path: &Path, context: &Context) -> Result<Rewrapped, Error> {
        let place = path.to_owned();
        let file = in_background(move || SealedFile::open(&place)).await?;
        let answer = self
            .client
            .re_encrypt(v1::ReEncryptRequest {
                name: file.key().to_owned(),
                ciphertext: file.wrapped().to_vec(),
                context: context.of_file(),
            })
            .await?;
        let written = answer.version != answer.former_version || !file.is_whole();
        if written {
            in_background(move || file.replace(&answer.ciphertext)).await?;
        }
        Ok(Rewrapped {
            former_version: answer.former_version,
            version: answer.version,
            written,
        })
    }

    async fn fresh(&self, key: &str, context: &Context) -> Result<Arc<DataKey>, Error> {
        let of = (key.to_owned(), context.clone());
        if let Some(held) = self.sealing.take(&of) {
            return Ok(held);
        }
        let made = self
            .client
            .generate_data_key(v1::GenerateDataKeyRequest {
                name: key.to_owned(),
                context: context.of_file(),
                length: 32,
            })
            .await?;
        let data_key = Arc::new(DataKey::new(made.plaintext, made.ciphertext, made.version)?);
        self.sealing.keep(of, &data_key);
        Ok(data_key)
    }

    async fn unwrapped(&self, header: &Header, context: &Context) -> Result<Arc<DataKey>, Error> {
        let of = (
            (header.key().to_owned(), header.wrapped().to_vec()),
            context.clone(),
        );
        if let Some(held) = self.opening.take(&of) {
            return Ok(held);
        }
        let opened = self
            .client
            .decrypt(v1::DecryptRequest {
                name: header.key().to_owned(),
                ciphertext: header.wrapped().to_vec(),
                context: context.of_file(),
            })
            .await?;
        let wrapped = header.wrapped().to_vec();
        let data_key = Arc::new(DataKey::new(opened.plaintext, wrapped, opened.version)?);
        self.opening.keep(of, &data_key);
        Ok(data_key)
    }
}

const BUFFER: usize = 128 * 1024;

fn open_file(path: &Path) -> Result<BufReader<File>, Error> {
    File::open(path)
        .map(|file| BufReader::with_capacity(BUFFER, file))
        .map_err(|e| Error::file(&format!("read {}", path.display()), &e))
}

/// age is synchronous, and so are files.
async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|e| {
        Err(Error::new(
            Kind::Internal,
            format!("the work broke off: {e}"),
        ))
    })
}

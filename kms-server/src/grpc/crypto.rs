//! Envelope encryption.

use super::door::{Asked, Door, mismatch, mismatched};
use super::{parse, status};
use crate::engine::{DataKeyMade, Decrypted, Encrypted, ReEncrypted, Reply};
use kms_core::action::Action;
use kms_core::command::{Command, DataKey, Plain, Sealed, Use};
use kms_core::error::{Error, Result as Parsed};
use kms_proto::v1::{self, crypto_service_server::CryptoService};
use std::collections::BTreeMap;
use tonic::{Request, Response, Status};
use zeroize::Zeroizing;

type Answer<T> = Result<Response<T>, Status>;

/// Items in one call, at most.
const ITEMS_MAX: usize = 1000;

/// Bytes of all items of one call, at most.
const BATCH_MAX: usize = 4 * 1024 * 1024;

/// Random bytes in one call, at most.
const RANDOM_MAX: usize = 1024;

#[tonic::async_trait]
impl CryptoService for Door {
    async fn encrypt(&self, request: Request<v1::EncryptRequest>) -> Answer<v1::EncryptResponse> {
        let (_, extensions, message) = request.into_parts();
        let asked = parse::name("name", &message.name).map(|key| {
            let items = vec![plain(message.plaintext, message.context)];
            Asked::from(Command::Use(Use::Encrypt { key, items }))
        });
        let one = self
            .pass_for(&extensions, Action::Encrypt, asked, |reply| {
                let Reply::Encrypted(results) = reply else {
                    return Err(mismatched());
                };
                single(results)
            })
            .await?;
        Ok(Response::new(encrypted(one)))
    }

    async fn decrypt(&self, request: Request<v1::DecryptRequest>) -> Answer<v1::DecryptResponse> {
        let (_, extensions, message) = request.into_parts();
        let asked = parse::name("name", &message.name).map(|key| {
            let items = vec![sealed(message.ciphertext, message.context)];
            Asked::from(Command::Use(Use::Decrypt { key, items }))
        });
        let one = self
            .pass_for(&extensions, Action::Decrypt, asked, |reply| {
                let Reply::Decrypted(results) = reply else {
                    return Err(mismatched());
                };
                single(results)
            })
            .await?;
        Ok(Response::new(decrypted(one)))
    }

    async fn re_encrypt(
        &self,
        request: Request<v1::ReEncryptRequest>,
    ) -> Answer<v1::ReEncryptResponse> {
        let (_, extensions, message) = request.into_parts();
        let asked = parse::name("name", &message.name).map(|key| {
            let items = vec![sealed(message.ciphertext, message.context)];
            Asked::from(Command::Use(Use::ReEncrypt { key, items }))
        });
        let one = self
            .pass_for(&extensions, Action::ReEncrypt, asked, |reply| {
                let Reply::ReEncrypted(results) = reply else {
                    return Err(mismatched());
                };
                single(results)
            })
            .await?;
        Ok(Response::new(re_encrypted(one)))
    }

    async fn generate_data_key(
        &self,
        request: Request<v1::GenerateDataKeyRequest>,
    ) -> Answer<v1::GenerateDataKeyResponse> {
        let (_, extensions, message) = request.into_parts();
        let asked = data_key(message, true);
        let one = self
            .pass_for(&extensions, Action::GenerateDataKey, asked, |reply| {
                let Reply::DataKeys(results) = reply else {
                    return Err(mismatched());
                };
                single(results)
            })
            .await?;
        Ok(Response::new(data_key_made(one)))
    }

    async fn generate_data_key_without_plaintext(
        &self,
        request: Request<v1::GenerateDataKeyRequest>,
    ) -> Answer<v1::GenerateDataKeyWithoutPlaintextResponse> {
        let (_, extensions, message) = request.into_parts();
        let asked = data_key(message, false);
        let action = Action::GenerateDataKeyWithoutPlaintext;
        let made = self
            .pass_for(&extensions, action, asked, |reply| {
                let Reply::DataKeys(results) = reply else {
                    return Err(mismatched());
                };
                single(results)
            })
            .await?;
        Ok(Response::new(v1::GenerateDataKeyWithoutPlaintextResponse {
            ciphertext: made.ciphertext,
            version: made.version.to_string(),
        }))
    }

    async fn generate_random(
        &self,
        request: Request<v1::GenerateRandomRequest>,
    ) -> Answer<v1::GenerateRandomResponse> {
        let (_, extensions, message) = request.into_parts();
        let length = usize::try_from(message.length)
            .ok()
            .filter(|n| (1..=RANDOM_MAX).contains(n));
        let asked = length
            .map(|length| Asked::from(Command::Use(Use::GenerateRandom { length })))
            .ok_or_else(|| Error::invalid("length", "length is 1 to 1,024 bytes"));
        let reply = self
            .pass(&extensions, Action::GenerateRandom, asked)
            .await?;
        let Reply::Random(random) = reply else {
            return Err(mismatch());
        };
        Ok(Response::new(v1::GenerateRandomResponse {
            random: random.to_vec(),
        }))
    }

    async fn batch_encrypt(
        &self,
        request: Request<v1::BatchEncryptRequest>,
    ) -> Answer<v1::BatchEncryptResponse> {
        let (_, extensions, message) = request.into_parts();
        let bytes = message.items.iter().map(|i| i.plaintext.len()).sum();
        let asked = || -> Parsed<Asked> {
            let key = parse::name("name", &message.name)?;
            batch_fits(message.items.len(), bytes)?;
            let items = message
                .items
                .into_iter()
                .map(|i| plain(i.plaintext, i.context))
                .collect();
            Ok(Command::Use(Use::Encrypt { key, items }).into())
        };
        let reply = self.pass(&extensions, Action::Encrypt, asked()).await?;
        let Reply::Encrypted(results) = reply else {
            return Err(mismatch());
        };
        use v1::batch_encrypt_response::{Result as Item, result::Result as R};
        let each = |r| Item {
            result: Some(either(r, encrypted, R::Ok, R::Error)),
        };
        let results = results.into_iter().map(each).collect();
        Ok(Response::new(v1::BatchEncryptResponse { results }))
    }

    async fn batch_decrypt(
        &self,
        request: Request<v1::BatchDecryptRequest>,
    ) -> Answer<v1::BatchDecryptResponse> {
        let (_, extensions, message) = request.into_parts();
        let bytes = message.items.iter().map(|i| i.ciphertext.len()).sum();
        let asked = || -> Parsed<Asked> {
            let key = parse::name("name", &message.name)?;
            batch_fits(message.items.len(), bytes)?;
            let items = message
                .items
                .into_iter()
                .map(|i| sealed(i.ciphertext, i.context))
                .collect();
            Ok(Command::Use(Use::Decrypt { key, items }).into())
        };
        let reply = self.pass(&extensions, Action::Decrypt, asked()).await?;
        let Reply::Decrypted(results) = reply else {
            return Err(mismatch());
        };
        use v1::batch_decrypt_response::{Result as Item, result::Result as R};
        let each = |r| Item {
            result: Some(either(r, decrypted, R::Ok, R::Error)),
        };
        let results = results.into_iter().map(each).collect();
        Ok(Response::new(v1::BatchDecryptResponse { results }))
    }

    async fn batch_re_encrypt(
        &self,
        request: Request<v1::BatchReEncryptRequest>,
    ) -> Answer<v1::BatchReEncryptResponse> {
        let (_, extensions, message) = request.into_parts();
        let bytes = message.items.iter().map(|i| i.ciphertext.len()).sum();
        let asked = || -> Parsed<Asked> {
            let key = parse::name("name", &message.name)?;
            batch_fits(message.items.len(), bytes)?;
            let items = message
                .items
                .into_iter()
                .map(|i| sealed(i.ciphertext, i.context))
                .collect();
            Ok(Command::Use(Use::ReEncrypt { key, items }).into())
        };
        let reply = self.pass(&extensions, Action::ReEncrypt, asked()).await?;
        let Reply::ReEncrypted(results) = reply else {
            return Err(mismatch());
        };
        use v1::batch_re_encrypt_response::{Result as Item, result::Result as R};
        let each = |r| Item {
            result: Some(either(r, re_encrypted, R::Ok, R::Error)),
        };
        let results = results.into_iter().map(each).collect();
        Ok(Response::new(v1::BatchReEncryptResponse { results }))
    }

    async fn batch_generate_data_key(
        &self,
        request: Request<v1::BatchGenerateDataKeyRequest>,
    ) -> Answer<v1::BatchGenerateDataKeyResponse> {
        let (_, extensions, message) = request.into_parts();
        let asked = || -> Parsed<Asked> {
            let key = parse::name("name", &message.name)?;
            batch_fits(message.items.len(), 0)?;
            let items = message
                .items
                .into_iter()
                .map(|i| wanted(i.length, i.context))
                .collect();
            Ok(Command::Use(Use::GenerateDataKey {
                key,
                items,
                reveal: true,
            })
            .into())
        };
        let reply = self
            .pass(&extensions, Action::GenerateDataKey, asked())
            .await?;
        let Reply::DataKeys(results) = reply else {
            return Err(mismatch());
        };
        use v1::batch_generate_data_key_response::{Result as Item, result::Result as R};
        let each = |r| Item {
            result: Some(either(r, data_key_made, R::Ok, R::Error)),
        };
        let results = results.into_iter().map(each).collect();
        Ok(Response::new(v1::BatchGenerateDataKeyResponse { results }))
    }
}

fn batch_fits(items: usize, bytes: usize) -> Parsed<()> {
    if (1..=ITEMS_MAX).contains(&items) && bytes <= BATCH_MAX {
        Ok(())
    } else {
        Err(Error::invalid(
            "items",
            "a batch has 1 to 1,000 items and 4 MiB in all; make several",
        ))
    }
}

fn plain(plaintext: Vec<u8>, context: BTreeMap<String, String>) -> Plain {
    Plain {
        plaintext: Zeroizing::new(plaintext),
        context: parse::context(context),
    }
}

fn sealed(ciphertext: Vec<u8>, context: BTreeMap<String, String>) -> Sealed {
    Sealed {
        ciphertext,
        context: parse::context(context),
    }
}

fn wanted(length: i32, context: BTreeMap<String, String>) -> DataKey {
    let length = match length {
        0 | 32 => Ok(32),
        16 => Ok(16),
        64 => Ok(64),
        _ => Err(Error::invalid(
            "length",
            "a data key has 16, 32 or 64 bytes",
        )),
    };
    DataKey {
        length,
        context: parse::context(context),
    }
}

fn data_key(message: v1::GenerateDataKeyRequest, reveal: bool) -> Parsed<Asked> {
    let key = parse::name("name", &message.name)?;
    let items = vec![wanted(message.length, message.context)];
    Ok(Command::Use(Use::GenerateDataKey { key, items, reveal }).into())
}

fn encrypted(made: Encrypted) -> v1::EncryptResponse {
    v1::EncryptResponse {
        ciphertext: made.ciphertext,
        version: made.version.to_string(),
    }
}

fn decrypted(opened: Decrypted) -> v1::DecryptResponse {
    v1::DecryptResponse {
        plaintext: opened.plaintext.to_vec(),
        version: opened.version.to_string(),
    }
}

fn re_encrypted(moved: ReEncrypted) -> v1::ReEncryptResponse {
    v1::ReEncryptResponse {
        ciphertext: moved.ciphertext,
        version: moved.version.to_string(),
        former_version: moved.former.to_string(),
    }
}

fn data_key_made(made: DataKeyMade) -> v1::GenerateDataKeyResponse {
    v1::GenerateDataKeyResponse {
        plaintext: made.plaintext.map(|p| p.to_vec()).unwrap_or_default(),
        ciphertext: made.ciphertext,
        version: made.version.to_string(),
    }
}

/// The one result of a call with one item.
fn single<T>(results: Vec<Parsed<T>>) -> Parsed<T> {
    results.into_iter().next().ok_or_else(mismatched)?
}

/// The result of one item of a batch.
pub(super) fn either<T, M, R>(
    result: Parsed<T>,
    message: impl FnOnce(T) -> M,
    ok: impl FnOnce(M) -> R,
    error: impl FnOnce(v1::ItemError) -> R,
) -> R {
    match result {
        Ok(value) => ok(message(value)),
        Err(failed) => error(status::item(&failed)),
    }
}

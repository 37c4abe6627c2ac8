//! Client of the EMC2 key management service.
//!
//! ```no_run
//! # async fn example() -> Result<(), kms_client::Error> {
//! use kms_client::{Bounds, Client, Context, Envelopes, Target};
//! use std::path::Path;
//!
//! let client = Client::connect(&Target {
//!     endpoint: "https://127.0.0.1:7443".into(),
//!     ca: "pki/ca.pem".into(),
//!     certificate: "pki/service-lyon-etl.pem".into(),
//!     key: "pki/service-lyon-etl.key".into(),
//! })
//! .await?;
//! let envelopes = Envelopes::new(client, Bounds::default());
//! let key = "spaces/ingest-lyon/keys/object";
//! envelopes
//!     .seal_file(key, &Context::none(), Path::new("visits.parquet"), Path::new("visits.parquet.kms"))
//!     .await?;
//! # Ok(())
//! # }
//! ```
//!
//! - [`Client`] speaks to one service over mutual TLS: every call of the interface, with a
//!   deadline, retried where that is safe ([`Effect`] says where).
//! - [`Client::approve`] signs a proposal as it was shown: dual control, by the key of the
//!   certificate.
//! - [`Envelopes`] seals files and streams of any size under a data-at-rest key: the content is
//!   sealed here with a data key, the data key is sealed by the HSM ([`Header`] is the format).
//! - [`Pseudonyms`] evaluates any number of identifiers over one stream, [`Translations`] translates
//!   any number of pseudonyms.
//! - [`Parameters`] wraps a key for an import, on a machine that asks nobody.
//! - [`Login`] lets a person sign in at an OpenID provider; [`Client::signed_in`] sends the token of
//!   the [`SignIn`] with every call.
//! - [`Error`] says what to do about a failure; its [`Kind`] has a stable exit code.

mod address;
mod approval;
mod call;
mod connect;
mod data_key;
mod envelope;
mod error;
mod header;
mod identity;
mod login;
pub mod name;
mod output;
mod private;
mod retry;
mod seal;
mod sealed_file;
mod stream;
mod tls;
mod transfer;
mod watch;

pub use address::Address;
pub use approval::terms;
pub use call::Effect;
pub use connect::{Client, Target};
pub use data_key::{Bounds, Context};
pub use envelope::{Envelopes, Rewrapped, Sealed};
pub use error::{Error, Kind};
pub use header::{HEADER_LENGTH, Header, HeaderError, SLOT_LENGTH, Slots};
pub use identity::Identity;
pub use kms_proto::{to_json, v1};
pub use login::{Login, OpenId, SignIn};
pub use output::{Output, discard_unfinished};
pub use private::read_private;
pub use retry::Backoff;
pub use sealed_file::SealedFile;
pub use stream::{CallStream, Pseudonyms, Streamed, Translations};
pub use transfer::{Material, Parameters};
pub use watch::Proposals;

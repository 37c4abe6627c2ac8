//! A message that is too long to be read at all: its sender hears what to do, as of any mistake.

use super::status::status;
use kms_core::error::Error;
use tonic::codegen::http::Response;
use tonic::{Code, Status};

/// The same answer, or what a sender of an oversized message should hear. The transport refuses
/// such a message by its length, before there is a command; it alone says `OUT_OF_RANGE`.
#[must_use]
pub fn oversize<B: Default>(answer: Response<B>) -> Response<B> {
    match Status::from_header_map(answer.headers()) {
        Some(said) if said.code() == Code::OutOfRange => {
            let sentence = "a message is at most 8 MiB; encrypt what is large with a data key at \
                            your side, and make several batches of many items";
            status(&Error::invalid("message", sentence)).into_http()
        }
        Some(_) | None => answer,
    }
}

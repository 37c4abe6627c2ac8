//! Canonical proto3 JSON of any message of the interface.

use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use std::sync::OnceLock;

/// A message could not be shown as JSON.
#[derive(Debug)]
pub struct JsonError(String);

impl std::fmt::Display for JsonError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the message has no JSON form: {}", self.0)
    }
}

impl std::error::Error for JsonError {}

/// The message in canonical proto3 JSON (protobuf.dev, "ProtoJSON"): lowerCamelCase names, bytes in
/// base64, 64-bit integers as strings, and fields at their default shown, so that a reader finds
/// the same names in every answer.
///
/// # Errors
/// When the message is not of this interface.
pub fn to_json<M: prost::Message + prost::Name>(
    message: &M,
) -> Result<serde_json::Value, JsonError> {
    let name = M::full_name();
    let descriptor = pool()?
        .get_message_by_name(&name)
        .ok_or_else(|| JsonError(format!("{name} is unknown")))?;
    let dynamic = DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice())
        .map_err(|e| JsonError(e.to_string()))?;
    let options = SerializeOptions::new().skip_default_fields(false);
    dynamic
        .serialize_with_options(serde_json::value::Serializer, &options)
        .map_err(|e| JsonError(e.to_string()))
}

fn pool() -> Result<&'static DescriptorPool, JsonError> {
    static POOL: OnceLock<Result<DescriptorPool, String>> = OnceLock::new();
    POOL.get_or_init(|| DescriptorPool::decode(crate::DESCRIPTORS).map_err(|e| e.to_string()))
        .as_ref()
        .map_err(|e| JsonError(e.clone()))
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use crate::{to_json, v1};

    #[test]
    fn a_message_has_its_canonical_form() -> Result<(), Box<dyn std::error::Error>> {
        let key = v1::KeyVersion {
            name: "spaces/a/keys/b/versions/1".into(),
            state: v1::VersionState::Active.into(),
            public_key: vec![1, 2],
            create_time: Some(prost_types::Timestamp {
                seconds: 1,
                nanos: 0,
            }),
            ..Default::default()
        };
        let json = to_json(&key)?;
        assert_eq!(json["state"], "ACTIVE");
        assert_eq!(json["publicKey"], "AQI=");
        assert_eq!(json["createTime"], "1970-01-01T00:00:01Z");
        assert_eq!(json["compromised"], false);
        Ok(())
    }
}

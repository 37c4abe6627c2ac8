//! `Debug` for messages that carry a secret: which message it is, and nothing of what it says.

use crate::v1;
use std::fmt;

macro_rules! redacted {
    ($($message:ty => $name:literal),* $(,)?) => {
        $(impl fmt::Debug for $message {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!($name, " { redacted }"))
            }
        })*
    };
}

redacted! {
    v1::EncryptRequest => "EncryptRequest",
    v1::DecryptRequest => "DecryptRequest",
    v1::DecryptResponse => "DecryptResponse",
    v1::ReEncryptRequest => "ReEncryptRequest",
    v1::GenerateDataKeyRequest => "GenerateDataKeyRequest",
    v1::GenerateDataKeyResponse => "GenerateDataKeyResponse",
    v1::GenerateRandomResponse => "GenerateRandomResponse",
    v1::batch_encrypt_request::Item => "BatchEncryptRequest.Item",
    v1::batch_decrypt_request::Item => "BatchDecryptRequest.Item",
    v1::batch_re_encrypt_request::Item => "BatchReEncryptRequest.Item",
    v1::batch_generate_data_key_request::Item => "BatchGenerateDataKeyRequest.Item",
    v1::Identifier => "Identifier",
    v1::Nir => "Nir",
    v1::identifier::Identifier => "Identifier.identifier",
    v1::pseudonymise_response::Result => "PseudonymiseResponse.Result",
    v1::pseudonymise_response::result::Result => "PseudonymiseResponse.Result.result",
    v1::FollowChainRequest => "FollowChainRequest",
    v1::follow_chain_response::Step => "FollowChainResponse.Step",
    v1::follow_chain_response::step::Result => "FollowChainResponse.Step.result",
    v1::translate_response::Pair => "TranslateResponse.Pair",
    v1::translate_response::Result => "TranslateResponse.Result",
    v1::translate_response::result::Result => "TranslateResponse.Result.result",
    v1::ImportParameters => "ImportParameters",
    v1::ImportKeyRequest => "ImportKeyRequest",
    v1::ExportKeyResponse => "ExportKeyResponse",
    v1::CheckImportRequest => "CheckImportRequest",
}

#[cfg(test)]
mod tests {
    use crate::v1;

    #[test]
    fn a_secret_message_shows_nothing_of_itself() {
        let request = v1::BatchEncryptRequest {
            name: "spaces/a/keys/b".into(),
            items: vec![v1::batch_encrypt_request::Item {
                plaintext: b"canary".to_vec(),
                context: [("canary".into(), "canary".into())].into(),
            }],
        };
        let shown = format!("{request:?}");
        assert!(
            shown.contains("spaces/a/keys/b") && shown.contains("redacted"),
            "{shown}"
        );
        assert!(
            !shown.contains("canary") && !shown.contains("99, 97"),
            "{shown}"
        );
    }
}

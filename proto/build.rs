//! Compiles the interface with protox: no compiler to install.

use std::path::PathBuf;

const FILES: [&str; 15] = [
    "emc2/kms/v1/resources.proto",
    "emc2/kms/v1/space_service.proto",
    "emc2/kms/v1/key_service.proto",
    "emc2/kms/v1/crypto_service.proto",
    "emc2/kms/v1/pseudonym_service.proto",
    "emc2/kms/v1/renewal_service.proto",
    "emc2/kms/v1/import_service.proto",
    "emc2/kms/v1/audit_service.proto",
    "emc2/kms/v1/admin_service.proto",
    "emc2/kms/v1/proposal_service.proto",
    "emc2/kms/v1/policy_service.proto",
    "emc2/kms/v1/quota_service.proto",
    "emc2/kms/v1/lifecycle_service.proto",
    "emc2/kms/v1/attestation_service.proto",
    "emc2/kms/v1/export_service.proto",
];

/// Messages with a secret or an identifier in them: `src/redacted.rs` says what their `Debug`
/// shows.
const SECRET: [&str; 22] = [
    "EncryptRequest",
    "DecryptRequest",
    "DecryptResponse",
    "ReEncryptRequest",
    "GenerateDataKeyRequest",
    "GenerateDataKeyResponse",
    "GenerateRandomResponse",
    "BatchEncryptRequest.Item",
    "BatchDecryptRequest.Item",
    "BatchReEncryptRequest.Item",
    "BatchGenerateDataKeyRequest.Item",
    "Identifier",
    "Nir",
    "PseudonymiseResponse.Result",
    "FollowChainRequest",
    "FollowChainResponse.Step",
    "TranslateResponse.Pair",
    "TranslateResponse.Result",
    "ImportParameters",
    "ImportKeyRequest",
    "ExportKeyResponse",
    "CheckImportRequest",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=emc2");
    println!("cargo:rerun-if-changed=build.rs");
    let descriptors = protox::compile(FILES, ["."])?;
    #[allow(
        clippy::disallowed_methods,
        reason = "this is how cargo tells a build script where to write"
    )]
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(
        out.join("descriptors.bin"),
        prost::Message::encode_to_vec(&descriptors),
    )?;
    let mut config = prost_build::Config::new();
    config.enable_type_names().btree_map(["."]);
    config.skip_debug(SECRET.map(|message| format!(".emc2.kms.v1.{message}")));
    tonic_prost_build::configure().compile_fds_with_config(descriptors, config)?;
    Ok(())
}

//! What a caller can ask for: one attempt for each thing that the roles divide among them.

use kms_proto::v1::{
    self, admin_service_client::AdminServiceClient,
    attestation_service_client::AttestationServiceClient,
    crypto_service_client::CryptoServiceClient, export_service_client::ExportServiceClient,
    identifier::Identifier::Opaque, import_service_client::ImportServiceClient,
    key_service_client::KeyServiceClient, space_service_client::SpaceServiceClient,
};
use softhsm_tests::gateway::{Gateway, identifier};
use tonic::Status;

/// A name for the table, and the attempt itself.
pub(super) type Attempt = (&'static str, fn(&Gateway) -> Result<(), Status>);

const LYON: &str = "spaces/ingest-lyon/keys/object";
const WAREHOUSE: &str = "spaces/warehouse/keys/object";

/// Each attempt is well formed, and changes nothing even where it is allowed: what it would make
/// is there already, what it would move does not exist, what it would open is no ciphertext.
pub(super) const ATTEMPTS: [Attempt; 34] = [
    ("encrypt in ingest-lyon", |by| {
        by.encrypt(LYON, b"x", &[]).map(drop)
    }),
    ("encrypt in warehouse", |by| {
        by.encrypt(WAREHOUSE, b"x", &[]).map(drop)
    }),
    ("decrypt in ingest-lyon", |by| {
        by.decrypt(LYON, b"x", &[]).map(drop)
    }),
    ("decrypt in warehouse", |by| {
        by.decrypt(WAREHOUSE, b"x", &[]).map(drop)
    }),
    ("re-encrypt in warehouse", |by| {
        by.call(async |channel| {
            let request = v1::ReEncryptRequest {
                name: WAREHOUSE.into(),
                ciphertext: b"x".into(),
                ..v1::ReEncryptRequest::default()
            };
            CryptoServiceClient::new(channel).re_encrypt(request).await
        })
        .map(drop)
    }),
    ("see a data key in ingest-lyon", |by| {
        by.call(async |channel| {
            CryptoServiceClient::new(channel)
                .generate_data_key(data_key(LYON))
                .await
        })
        .map(drop)
    }),
    ("have a data key in warehouse", |by| {
        by.call(async |channel| {
            CryptoServiceClient::new(channel)
                .generate_data_key_without_plaintext(data_key(WAREHOUSE))
                .await
        })
        .map(drop)
    }),
    ("import into ingest-lyon", |by| {
        by.call(async |channel| {
            let request = v1::GetImportParametersRequest {
                name: "spaces/ingest-lyon/keys/partner".into(),
                wrapping_key: "spaces/ingest-lyon/keys/import".into(),
                mechanism: v1::WrappingMechanism::RsaOaepSha1.into(),
                ..v1::GetImportParametersRequest::default()
            };
            ImportServiceClient::new(channel)
                .get_import_parameters(request)
                .await
        })
        .map(drop)
    }),
    ("pseudonymise into warehouse", |by| {
        evaluate(by, "spaces/warehouse/edges/link")
    }),
    ("pseudonymise into project-01", |by| {
        evaluate(by, "spaces/project-01/edges/warehouse")
    }),
    ("create a space", |by| {
        by.call(async |channel| {
            let space = v1::Space {
                name: "spaces/warehouse".into(),
                kind: v1::SpaceKind::Warehouse.into(),
                ..v1::Space::default()
            };
            let request = v1::CreateSpaceRequest {
                space: Some(space),
                ..v1::CreateSpaceRequest::default()
            };
            SpaceServiceClient::new(channel).create_space(request).await
        })
        .map(drop)
    }),
    ("create a domain", |by| {
        by.call(async |channel| {
            let domain = v1::Domain {
                name: "domains/link".into(),
                ..v1::Domain::default()
            };
            let request = v1::CreateDomainRequest {
                domain: Some(domain),
                ..v1::CreateDomainRequest::default()
            };
            SpaceServiceClient::new(channel)
                .create_domain(request)
                .await
        })
        .map(drop)
    }),
    ("create an edge", |by| create_edge(by).map(drop)),
    ("create a key", |by| by.create_key(LYON, "").map(drop)),
    ("change a key's title", |by| {
        by.call(async |channel| {
            let key = v1::Key {
                name: "spaces/warehouse/keys/absent".into(),
                ..v1::Key::default()
            };
            let request = v1::UpdateKeyRequest {
                key: Some(key),
                update_mask: Some(prost_types::FieldMask {
                    paths: vec!["title".into()],
                }),
                ..v1::UpdateKeyRequest::default()
            };
            KeyServiceClient::new(channel).update_key(request).await
        })
        .map(drop)
    }),
    ("rotate a key", |by| {
        by.rotate("spaces/warehouse/keys/absent", "").map(drop)
    }),
    ("activate a version", |by| {
        by.call(async |channel| {
            KeyServiceClient::new(channel)
                .activate_version(absent())
                .await
        })
        .map(drop)
    }),
    ("suspend a version", |by| {
        by.call(async |channel| {
            let v1::MoveVersionRequest { name, reason, .. } = absent();
            let request = v1::SuspendVersionRequest {
                name,
                reason,
                ..v1::SuspendVersionRequest::default()
            };
            KeyServiceClient::new(channel)
                .suspend_version(request)
                .await
        })
        .map(drop)
    }),
    ("resume a version", |by| {
        by.call(async |channel| {
            KeyServiceClient::new(channel)
                .resume_version(absent())
                .await
        })
        .map(drop)
    }),
    ("deactivate a version", |by| {
        by.call(async |channel| {
            KeyServiceClient::new(channel)
                .deactivate_version(absent())
                .await
        })
        .map(drop)
    }),
    ("declare a version compromised", |by| {
        compromise(by, &absent().name).map(drop)
    }),
    ("read a key", |by| {
        by.call(async |channel| {
            let request = v1::GetKeyRequest {
                name: WAREHOUSE.into(),
            };
            KeyServiceClient::new(channel).get_key(request).await
        })
        .map(drop)
    }),
    ("read a domain", |by| {
        by.call(async |channel| {
            let request = v1::GetDomainRequest {
                name: "domains/link".into(),
            };
            SpaceServiceClient::new(channel).get_domain(request).await
        })
        .map(drop)
    }),
    ("list the keys of all spaces", |by| {
        list_keys(by, "spaces/-")
    }),
    ("list the keys of warehouse", |by| {
        list_keys(by, "spaces/warehouse")
    }),
    ("read one's own records", |by| {
        by.records(v1::Log::Uses).map(drop)
    }),
    ("read the HSM's state", |by| {
        by.call(async |channel| {
            AdminServiceClient::new(channel)
                .get_hsm(v1::GetHsmRequest {})
                .await
        })
        .map(drop)
    }),
    ("attest a destruction in warehouse", |by| {
        by.call(async |channel| {
            let request = v1::GetAttestationRequest {
                name: "spaces/warehouse/keys/object/versions/99".into(),
            };
            AttestationServiceClient::new(channel)
                .get_attestation(request)
                .await
        })
        .map(drop)
    }),
    ("declare a backup of the token", |by| {
        by.call(async |channel| {
            // It ends before it was taken.
            let backup = v1::Backup {
                title: "vault 2".into(),
                take_time: Some(prost_types::Timestamp::default()),
                expire_time: Some(prost_types::Timestamp::default()),
                ..v1::Backup::default()
            };
            let request = v1::DeclareBackupRequest {
                backup: Some(backup),
                ..v1::DeclareBackupRequest::default()
            };
            AdminServiceClient::new(channel)
                .declare_backup(request)
                .await
        })
        .map(drop)
    }),
    ("list the backups of the token", |by| {
        by.call(async |channel| {
            AdminServiceClient::new(channel)
                .list_backups(v1::ListBackupsRequest {})
                .await
        })
        .map(drop)
    }),
    ("list the destinations", |by| {
        by.call(async |channel| {
            ExportServiceClient::new(channel)
                .list_destinations(v1::ListDestinationsRequest {})
                .await
        })
        .map(drop)
    }),
    ("export a key", |by| {
        by.call(async |channel| {
            let request = v1::ExportKeyRequest {
                name: "spaces/warehouse/keys/edge-link/versions/99".into(),
                destination: "destinations/none".into(),
                mechanism: v1::WrappingMechanism::RsaOaepSha256.into(),
                reason: "a test".into(),
                ..v1::ExportKeyRequest::default()
            };
            ExportServiceClient::new(channel).export_key(request).await
        })
        .map(drop)
    }),
    ("have random bytes", |by| {
        by.call(async |channel| {
            let request = v1::GenerateRandomRequest { length: 16 };
            CryptoServiceClient::new(channel)
                .generate_random(request)
                .await
        })
        .map(drop)
    }),
    ("read what this deployment is", |by| {
        by.call(async |channel| {
            AdminServiceClient::new(channel)
                .get_deployment(v1::GetDeploymentRequest {})
                .await
        })
        .map(drop)
    }),
];

/// Declares the edge from `link` to the warehouse.
pub(super) fn create_edge(by: &Gateway) -> Result<v1::Edge, Status> {
    by.call(async |channel| {
        let edge = v1::Edge {
            name: "spaces/warehouse/edges/link".into(),
            code: "whlink".into(),
            input: v1::InputType::Opaque.into(),
            ..v1::Edge::default()
        };
        let request = v1::CreateEdgeRequest {
            edge: Some(edge),
            ..v1::CreateEdgeRequest::default()
        };
        SpaceServiceClient::new(channel).create_edge(request).await
    })
    .map(tonic::Response::into_inner)
}

/// Declares a version compromised.
pub(super) fn compromise(by: &Gateway, version: &str) -> Result<v1::KeyVersion, Status> {
    by.call(async |channel| {
        let request = v1::MoveVersionRequest {
            name: version.to_owned(),
            ..absent()
        };
        KeyServiceClient::new(channel)
            .compromise_version(request)
            .await
    })
    .map(tonic::Response::into_inner)
}

fn evaluate(by: &Gateway, edge: &str) -> Result<(), Status> {
    by.evaluate(edge, vec![identifier(Opaque("SYNTHETIC-1".into()))])
        .map(drop)
}

fn list_keys(by: &Gateway, parent: &str) -> Result<(), Status> {
    by.call(async |channel| {
        let request = v1::ListKeysRequest {
            parent: parent.to_owned(),
            ..v1::ListKeysRequest::default()
        };
        KeyServiceClient::new(channel).list_keys(request).await
    })
    .map(drop)
}

fn data_key(name: &str) -> v1::GenerateDataKeyRequest {
    v1::GenerateDataKeyRequest {
        name: name.to_owned(),
        length: 32,
        ..v1::GenerateDataKeyRequest::default()
    }
}

fn absent() -> v1::MoveVersionRequest {
    v1::MoveVersionRequest {
        name: "spaces/warehouse/keys/object/versions/99".into(),
        reason: "a test".into(),
        ..v1::MoveVersionRequest::default()
    }
}

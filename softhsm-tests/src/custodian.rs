//! A custodian without our client: what is signed is computed from the words of
//! `proposal_service.proto` alone, as a foreign program would.

use std::fs;

use kms_proto::v1;
use rcgen::{KeyPair, SigningKey as _};
use sha2::{Digest as _, Sha256};
use tonic::Status;
use v1::proposal_service_client::ProposalServiceClient;

use crate::{Identity, gateway::Gateway};

/// `ecdsa_secp256r1_sha256`: the kit's certificates have P-256 keys.
pub const ECDSA_P256: u32 = 0x0403;

/// What the custodian of this name (`person/{id}`) signs to approve a proposal.
pub fn message(deployment: &str, custodian: &str, proposal: &v1::Proposal) -> Vec<u8> {
    let mut terms = fields(&[
        "emc2-kms/proposal/v1",
        deployment,
        &proposal.name,
        &proposal.proposer,
        &proposal.action,
        &proposal.command,
        &proposal.expire_millis.to_string(),
    ]);
    for seen in &proposal.seen {
        terms.extend(fields(&[&seen.name, &seen.revision]));
    }
    let mut message = fields(&["emc2-kms/approval/v1", deployment]);
    message.extend(32_u32.to_be_bytes());
    message.extend(Sha256::digest(&terms));
    message.extend(fields(&[custodian]));
    message
}

fn fields(fields: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    for field in fields {
        let length = u32::try_from(field.len()).expect("a short field");
        out.extend(length.to_be_bytes());
        out.extend(field.as_bytes());
    }
    out
}

/// What the key of this certificate makes of a message.
///
/// # Panics
/// When its file cannot be used.
pub fn sign(identity: &Identity, message: &[u8]) -> Vec<u8> {
    let pem = fs::read_to_string(&identity.key).expect("the private key");
    let key = KeyPair::from_pem(&pem).expect("a key");
    key.sign(message).expect("a signature")
}

impl Gateway {
    /// A proposal.
    ///
    /// # Errors
    /// The service's answer.
    pub fn proposal(&self, name: &str) -> Result<v1::Proposal, Status> {
        let request = v1::GetProposalRequest {
            name: name.to_owned(),
        };
        self.call(async |channel| {
            ProposalServiceClient::new(channel)
                .get_proposal(request)
                .await
        })
        .map(tonic::Response::into_inner)
    }

    /// Approves with this signature, whatever it is.
    ///
    /// # Errors
    /// The service's answer.
    pub fn approve(&self, name: &str, signature: Vec<u8>) -> Result<v1::Proposal, Status> {
        let request = v1::ApproveProposalRequest {
            name: name.to_owned(),
            scheme: ECDSA_P256,
            signature,
            reason: "agreed".to_owned(),
            request_id: String::new(),
        };
        self.call(async |channel| {
            ProposalServiceClient::new(channel)
                .approve_proposal(request)
                .await
        })
        .map(tonic::Response::into_inner)
    }

    /// Carries a proposal out.
    ///
    /// # Errors
    /// The service's answer.
    pub fn execute(&self, name: &str) -> Result<v1::ExecuteProposalResponse, Status> {
        let request = v1::ExecuteProposalRequest {
            name: name.to_owned(),
            request_id: String::new(),
        };
        self.call(async |channel| {
            ProposalServiceClient::new(channel)
                .execute_proposal(request)
                .await
        })
        .map(tonic::Response::into_inner)
    }
}

/// The proposal in which a command waits now.
///
/// # Panics
/// When it was answered in another way.
pub fn waits<T: std::fmt::Debug>(answer: Result<T, Status>) -> String {
    use tonic_types::StatusExt as _;
    let status = answer.expect_err("it waits for others");
    let details = status.get_error_details();
    let told = details.error_info().expect("a reason");
    assert_eq!(told.reason, "APPROVAL_REQUIRED", "{status:?}");
    told.metadata
        .get("proposal")
        .expect("where it waits")
        .clone()
}

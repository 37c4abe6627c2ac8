//! The services of `emc2.kms.v1`: they parse, pass the one door, and answer. They judge nothing
//! and know neither HSM nor store.

mod admin;
mod asks;
mod attestations;
mod audits;
mod binding;
mod crypto;
mod door;
mod exports;
mod imports;
mod keys;
mod lifecycle;
mod parse;
mod policies;
mod proposals;
mod pseudonyms;
mod quotas;
mod renewals;
mod resource;
mod spaces;
mod stated;
pub mod status;
mod stream;
mod unread;

pub use asks::action_at;
pub use door::{Connected, Door};
pub use stated::{AUTHORIZATION, PURPOSE, Stated, stated};
pub use unread::heard;

use kms_proto::v1;
use tonic::service::Routes;
use tonic::service::RoutesBuilder;
use v1::admin_service_server::AdminServiceServer;
use v1::attestation_service_server::AttestationServiceServer;
use v1::audit_service_server::AuditServiceServer;
use v1::crypto_service_server::CryptoServiceServer;
use v1::export_service_server::ExportServiceServer;
use v1::import_service_server::ImportServiceServer;
use v1::key_service_server::KeyServiceServer;
use v1::lifecycle_service_server::LifecycleServiceServer;
use v1::policy_service_server::PolicyServiceServer;
use v1::proposal_service_server::ProposalServiceServer;
use v1::pseudonym_service_server::PseudonymServiceServer;
use v1::quota_service_server::QuotaServiceServer;
use v1::renewal_service_server::RenewalServiceServer;
use v1::space_service_server::SpaceServiceServer;

/// The longest message that is taken in. A batch may hold 4 MiB; what is a little longer is still
/// read, so that its sender is told, and leaves a record.
const MESSAGE_IN_MAX: usize = 8 * 1024 * 1024;

/// The longest message that is sent out.
const MESSAGE_OUT_MAX: usize = 128 * 1024 * 1024;

/// The full name of each service, for the health service.
pub const NAMES: [&str; 14] = [
    "emc2.kms.v1.SpaceService",
    "emc2.kms.v1.KeyService",
    "emc2.kms.v1.CryptoService",
    "emc2.kms.v1.PseudonymService",
    "emc2.kms.v1.RenewalService",
    "emc2.kms.v1.ImportService",
    "emc2.kms.v1.AuditService",
    "emc2.kms.v1.AdminService",
    "emc2.kms.v1.ProposalService",
    "emc2.kms.v1.PolicyService",
    "emc2.kms.v1.QuotaService",
    "emc2.kms.v1.LifecycleService",
    "emc2.kms.v1.AttestationService",
    "emc2.kms.v1.ExportService",
];

/// The services, all of them at every listener: what may be asked there is for `decide` to say.
#[must_use]
pub fn routes(door: &Door) -> RoutesBuilder {
    let mut routes = Routes::builder();
    macro_rules! serve {
        ($($server:ident)*) => {
            $(routes.add_service(
                $server::new(door.clone())
                    .max_decoding_message_size(MESSAGE_IN_MAX)
                    .max_encoding_message_size(MESSAGE_OUT_MAX),
            );)*
        };
    }
    serve! {
        SpaceServiceServer
        KeyServiceServer
        CryptoServiceServer
        PseudonymServiceServer
        RenewalServiceServer
        ImportServiceServer
        AuditServiceServer
        AdminServiceServer
        ProposalServiceServer
        PolicyServiceServer
        QuotaServiceServer
        LifecycleServiceServer
        AttestationServiceServer
        ExportServiceServer
    }
    routes
}

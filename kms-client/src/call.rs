//! Every call of the interface, in one table.

use crate::connect::failed;
use crate::{Client, Error, Kind, v1};
use std::future::Future;
use tonic::{Code, Request, Response, Status};

/// What a call does to the service, and therefore what may be done about its failure.
///
/// Either may be asked again when the service is `UNAVAILABLE` or `RESOURCE_EXHAUSTED` (unless it
/// says that this lasts longer than we ever wait, as a quota's may), or when the connection broke: asking twice is harmless for the first, and made harmless for the second by
/// its `request_id`, a UUID that stays the same over the attempts (the client draws one when the
/// caller gave none). Every other answer is final.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Reads, or uses a key: nothing is different afterwards.
    Asks,
    /// Makes a resource or moves it to another state.
    Changes,
}

macro_rules! calls {
    ($($effect:ident $client:path, $method:ident($request:ty) -> $response:ty;)*) => {
        impl Client {$(
            #[doc = concat!("`", stringify!($method), "` of the interface; see its `.proto`.")]
            ///
            /// # Errors
            /// What the service answers; [`Kind::Unavailable`] when it cannot be reached or does
            /// not answer an asking call in time, [`Kind::Unknown`] when it does not answer a
            /// changing one, [`Kind::Tls`] when it refuses our certificate.
            pub async fn $method(&self, request: $request) -> Result<$response, Error> {
                let request = identified!($effect request);
                self.attempt(Effect::$effect, &request, |request| {
                    let mut client = <$client>::new(self.channel.clone())
                        .max_decoding_message_size(LARGEST_ANSWER);
                    async move { client.$method(request).await }
                })
                .await
            }
        )*}
    };
}

macro_rules! identified {
    (Asks $request:ident) => {
        $request
    };
    (Changes $request:ident) => {{
        let mut request = $request;
        if request.request_id.is_empty() {
            request.request_id = uuid::Uuid::new_v4().to_string();
        }
        request
    }};
}

/// A page of 1,000 log entries of the largest size that a log takes.
pub(crate) const LARGEST_ANSWER: usize = 72 * 1024 * 1024;

use v1::{
    admin_service_client::AdminServiceClient as Admin,
    attestation_service_client::AttestationServiceClient as Attestations,
    audit_service_client::AuditServiceClient as Audit,
    crypto_service_client::CryptoServiceClient as Crypto,
    export_service_client::ExportServiceClient as Export,
    import_service_client::ImportServiceClient as Import,
    key_service_client::KeyServiceClient as Keys,
    lifecycle_service_client::LifecycleServiceClient as Lifecycles,
    policy_service_client::PolicyServiceClient as Policies,
    proposal_service_client::ProposalServiceClient as Proposals,
    pseudonym_service_client::PseudonymServiceClient as Pseudonyms,
    quota_service_client::QuotaServiceClient as Quotas,
    renewal_service_client::RenewalServiceClient as Renewals,
    space_service_client::SpaceServiceClient as Spaces,
};

calls! {
    Changes Spaces<_>, create_space(v1::CreateSpaceRequest) -> v1::Space;
    Asks    Spaces<_>, get_space(v1::GetSpaceRequest) -> v1::Space;
    Asks    Spaces<_>, list_spaces(v1::ListSpacesRequest) -> v1::ListSpacesResponse;
    Changes Spaces<_>, update_space(v1::UpdateSpaceRequest) -> v1::Space;
    Changes Spaces<_>, archive_space(v1::MoveSpaceRequest) -> v1::Space;
    Changes Spaces<_>, decommission_space(v1::MoveSpaceRequest) -> v1::Space;
    Changes Spaces<_>, keep_space(v1::MoveSpaceRequest) -> v1::Space;
    Changes Spaces<_>, create_domain(v1::CreateDomainRequest) -> v1::Domain;
    Asks    Spaces<_>, get_domain(v1::GetDomainRequest) -> v1::Domain;
    Asks    Spaces<_>, list_domains(v1::ListDomainsRequest) -> v1::ListDomainsResponse;
    Changes Spaces<_>, create_edge(v1::CreateEdgeRequest) -> v1::Edge;
    Asks    Spaces<_>, get_edge(v1::GetEdgeRequest) -> v1::Edge;
    Asks    Spaces<_>, list_edges(v1::ListEdgesRequest) -> v1::ListEdgesResponse;

    Changes Keys<_>, create_key(v1::CreateKeyRequest) -> v1::Key;
    Asks    Keys<_>, get_key(v1::GetKeyRequest) -> v1::Key;
    Asks    Keys<_>, list_keys(v1::ListKeysRequest) -> v1::ListKeysResponse;
    Changes Keys<_>, update_key(v1::UpdateKeyRequest) -> v1::Key;
    Asks    Keys<_>, get_version(v1::GetVersionRequest) -> v1::KeyVersion;
    Asks    Keys<_>, get_version_usage(v1::GetVersionUsageRequest) -> v1::VersionUsage;
    Asks    Keys<_>, list_versions(v1::ListVersionsRequest) -> v1::ListVersionsResponse;
    Changes Keys<_>, rotate_key(v1::RotateKeyRequest) -> v1::KeyVersion;
    Changes Keys<_>, activate_version(v1::MoveVersionRequest) -> v1::KeyVersion;
    Changes Keys<_>, deactivate_version(v1::MoveVersionRequest) -> v1::KeyVersion;
    Changes Keys<_>, suspend_version(v1::SuspendVersionRequest) -> v1::KeyVersion;
    Changes Keys<_>, resume_version(v1::MoveVersionRequest) -> v1::KeyVersion;
    Changes Keys<_>, compromise_version(v1::MoveVersionRequest) -> v1::KeyVersion;
    Changes Keys<_>, schedule_destruction(v1::ScheduleDestructionRequest) -> v1::KeyVersion;
    Changes Keys<_>, cancel_destruction(v1::MoveVersionRequest) -> v1::KeyVersion;
    Changes Keys<_>, start_rewrap(v1::StartRewrapRequest) -> v1::Key;
    Changes Keys<_>, finish_rewrap(v1::FinishRewrapRequest) -> v1::Key;

    Asks    Lifecycles<_>, list_due(v1::ListDueRequest) -> v1::ListDueResponse;
    Asks    Lifecycles<_>, report_keys(v1::ReportKeysRequest) -> v1::ReportKeysResponse;

    Asks    Crypto<_>, encrypt(v1::EncryptRequest) -> v1::EncryptResponse;
    Asks    Crypto<_>, decrypt(v1::DecryptRequest) -> v1::DecryptResponse;
    Asks    Crypto<_>, re_encrypt(v1::ReEncryptRequest) -> v1::ReEncryptResponse;
    Asks    Crypto<_>, generate_data_key(v1::GenerateDataKeyRequest) -> v1::GenerateDataKeyResponse;
    Asks    Crypto<_>, generate_data_key_without_plaintext(v1::GenerateDataKeyRequest) -> v1::GenerateDataKeyWithoutPlaintextResponse;
    Asks    Crypto<_>, generate_random(v1::GenerateRandomRequest) -> v1::GenerateRandomResponse;
    Asks    Crypto<_>, batch_encrypt(v1::BatchEncryptRequest) -> v1::BatchEncryptResponse;
    Asks    Crypto<_>, batch_decrypt(v1::BatchDecryptRequest) -> v1::BatchDecryptResponse;
    Asks    Crypto<_>, batch_re_encrypt(v1::BatchReEncryptRequest) -> v1::BatchReEncryptResponse;
    Asks    Crypto<_>, batch_generate_data_key(v1::BatchGenerateDataKeyRequest) -> v1::BatchGenerateDataKeyResponse;

    Asks    Pseudonyms<_>, pseudonymise(v1::PseudonymiseRequest) -> v1::PseudonymiseResponse;
    Changes Pseudonyms<_>, start_chain(v1::StartChainRequest) -> v1::Chain;
    Asks    Pseudonyms<_>, follow_chain(v1::FollowChainRequest) -> v1::FollowChainResponse;

    Changes Renewals<_>, start_renewal(v1::StartRenewalRequest) -> v1::Renewal;
    Asks    Renewals<_>, get_renewal(v1::GetRenewalRequest) -> v1::Renewal;
    Changes Renewals<_>, verify_renewal(v1::VerifyRenewalRequest) -> v1::Renewal;
    Changes Renewals<_>, cutover(v1::CutoverRequest) -> v1::Renewal;
    Changes Renewals<_>, finish_renewal(v1::FinishRenewalRequest) -> v1::Renewal;

    Changes Import<_>, get_import_parameters(v1::GetImportParametersRequest) -> v1::ImportParameters;
    Asks    Import<_>, check_import(v1::CheckImportRequest) -> v1::CheckImportResponse;
    Changes Import<_>, import_key(v1::ImportKeyRequest) -> v1::ImportedKey;

    Asks    Proposals<_>, list_proposals(v1::ListProposalsRequest) -> v1::ListProposalsResponse;
    Asks    Proposals<_>, get_proposal(v1::GetProposalRequest) -> v1::Proposal;
    Changes Proposals<_>, approve_proposal(v1::ApproveProposalRequest) -> v1::Proposal;
    Changes Proposals<_>, reject_proposal(v1::EndProposalRequest) -> v1::Proposal;
    Changes Proposals<_>, withdraw_proposal(v1::EndProposalRequest) -> v1::Proposal;
    Changes Proposals<_>, execute_proposal(v1::ExecuteProposalRequest) -> v1::ExecuteProposalResponse;

    Asks    Policies<_>, get_policy(v1::GetPolicyRequest) -> v1::Policy;
    Changes Policies<_>, put_policy(v1::PutPolicyRequest) -> v1::PutPolicyResponse;
    Changes Policies<_>, put_bindings(v1::PutBindingsRequest) -> v1::PutBindingsResponse;
    Asks    Policies<_>, list_policy_history(v1::ListPolicyHistoryRequest) -> v1::ListPolicyHistoryResponse;
    Asks    Policies<_>, explain_access(v1::ExplainAccessRequest) -> v1::ExplainAccessResponse;
    Asks    Policies<_>, review_access(v1::ReviewAccessRequest) -> v1::ReviewAccessResponse;
    Changes Policies<_>, declare_emergency(v1::DeclareEmergencyRequest) -> v1::Emergency;
    Changes Policies<_>, end_emergency(v1::EndEmergencyRequest) -> v1::Emergency;
    Changes Policies<_>, review_emergency(v1::ReviewEmergencyRequest) -> v1::Emergency;
    Asks    Policies<_>, list_emergencies(v1::ListEmergenciesRequest) -> v1::ListEmergenciesResponse;

    Asks    Quotas<_>, list_quotas(v1::ListQuotasRequest) -> v1::ListQuotasResponse;
    Asks    Quotas<_>, get_allowance(v1::GetAllowanceRequest) -> v1::Allowance;
    Changes Quotas<_>, put_quota(v1::PutQuotaRequest) -> v1::Quota;

    Asks    Audit<_>, get_logs(v1::GetLogsRequest) -> v1::GetLogsResponse;
    Asks    Audit<_>, list_entries(v1::ListEntriesRequest) -> v1::ListEntriesResponse;

    Asks    Admin<_>, get_deployment(v1::GetDeploymentRequest) -> v1::Deployment;
    Asks    Admin<_>, get_hsm(v1::GetHsmRequest) -> v1::Hsm;
    Changes Admin<_>, declare_backup(v1::DeclareBackupRequest) -> v1::Backup;
    Asks    Admin<_>, list_backups(v1::ListBackupsRequest) -> v1::ListBackupsResponse;

    Changes Export<_>, create_destination(v1::CreateDestinationRequest) -> v1::Destination;
    Asks    Export<_>, list_destinations(v1::ListDestinationsRequest) -> v1::ListDestinationsResponse;
    Changes Export<_>, export_key(v1::ExportKeyRequest) -> v1::ExportKeyResponse;

    Asks    Attestations<_>, get_attestation(v1::GetAttestationRequest) -> v1::Attestation;
}

macro_rules! pages {
    ($($all:ident($($parent:ident)?): $list:ident($request:ident) -> $items:ident: $item:ty;)*) => {
        impl Client {$(
            #[doc = concat!("Every page of `", stringify!($list), "`, in order.")]
            ///
            /// # Errors
            /// As the call.
            pub async fn $all(&self $(, $parent: &str)?) -> Result<Vec<$item>, Error> {
                let mut all = Vec::new();
                let mut page_token = String::new();
                loop {
                    let page = self
                        .$list(v1::$request {
                            $($parent: $parent.to_owned(),)?
                            page_size: LARGEST_PAGE,
                            page_token,
                        })
                        .await?;
                    all.extend(page.$items);
                    if page.next_page_token.is_empty() {
                        return Ok(all);
                    }
                    page_token = page.next_page_token;
                }
            }
        )*}
    };
}

const LARGEST_PAGE: i32 = 1_000;

pages! {
    all_spaces(): list_spaces(ListSpacesRequest) -> spaces: v1::Space;
    all_domains(): list_domains(ListDomainsRequest) -> domains: v1::Domain;
    all_edges(parent): list_edges(ListEdgesRequest) -> edges: v1::Edge;
    all_keys(parent): list_keys(ListKeysRequest) -> keys: v1::Key;
    all_versions(parent): list_versions(ListVersionsRequest) -> versions: v1::KeyVersion;
    all_quotas(parent): list_quotas(ListQuotasRequest) -> quotas: v1::Quota;
}

impl Client {
    /// A request with what we state beside its message.
    ///
    /// # Errors
    /// [`Kind::Refused`] when the sign-in that we state has ended.
    pub(crate) fn stated<Q>(&self, message: Q) -> Result<Request<Q>, Error> {
        let mut request = Request::new(message);
        if let Some(purpose) = &self.purpose {
            request.metadata_mut().insert(PURPOSE, purpose.clone());
        }
        if let Some(bearer) = &self.bearer {
            let authorization = bearer.authorization()?;
            request.metadata_mut().insert(AUTHORIZATION, authorization);
        }
        Ok(request)
    }

    /// Sends until there is a final answer, the attempts are used up, or the deadline passes.
    async fn attempt<Q, A, F>(
        &self,
        effect: Effect,
        request: &Q,
        send: impl Fn(Request<Q>) -> F,
    ) -> Result<A, Error>
    where
        Q: Clone,
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let asked = async {
            // Set once an attempt may have changed something: no later attempt that does not get
            // through can unsay it.
            let mut unknown = None;
            for attempt in 1_u32.. {
                let mut once = self.stated(request.clone())?;
                once.set_timeout(self.deadline);
                let status = match send(once).await {
                    Ok(answer) => return Ok(answer.into_inner()),
                    Err(status) => status,
                };
                let error = self.judge(effect, &status);
                // What is free again only after longer than we ever wait is for whoever asked to
                // wait for: a quota.
                let soon = error.wait().is_none_or(|wait| wait <= self.backoff.most);
                let again = match error.kind() {
                    Kind::Unavailable | Kind::Exhausted => soon,
                    Kind::Unknown => broke(&status),
                    Kind::Tls => false,
                    Kind::Invalid
                    | Kind::Rejected
                    | Kind::Refused
                    | Kind::NotFound
                    | Kind::Conflict
                    | Kind::State
                    | Kind::Pending
                    | Kind::Internal
                    | Kind::Usage
                    | Kind::Io => return Err(error),
                };
                if error.kind() == Kind::Unknown {
                    unknown = Some(error.clone());
                }
                match self.backoff.wait_after(attempt) {
                    Some(wait) if again => tokio::time::sleep(wait).await,
                    Some(_) | None => return Err(unknown.unwrap_or(error)),
                }
            }
            Err(self.late(effect))
        };
        tokio::time::timeout(self.deadline, asked)
            .await
            .unwrap_or_else(|_| Err(self.late(effect)))
    }

    pub(crate) fn judge(&self, effect: Effect, status: &Status) -> Error {
        if timed_out(status) {
            return self.late(effect);
        }
        let Some(source) = std::error::Error::source(status) else {
            return Error::from_answer(status);
        };
        let error = failed(&self.address, source);
        match (effect, error.kind()) {
            // Only a connection that could not be made is known to have carried nothing.
            (Effect::Changes, Kind::Unavailable) if status.code() != Code::Unavailable => {
                Error::new(
                    Kind::Unknown,
                    format!(
                        "the connection to {} broke before the answer: the change may have happened; look before you ask again",
                        self.address
                    ),
                )
            }
            (Effect::Asks | Effect::Changes, _) => error,
        }
    }

    pub(crate) fn late(&self, effect: Effect) -> Error {
        let (address, seconds) = (&self.address, self.deadline.as_secs_f32());
        match effect {
            Effect::Asks => Error::new(
                Kind::Unavailable,
                format!(
                    "{address} gave no answer within {seconds} s; try again, or allow more time"
                ),
            ),
            Effect::Changes => Error::new(
                Kind::Unknown,
                format!(
                    "{address} gave no answer within {seconds} s: the change may have happened; look before you ask again"
                ),
            ),
        }
    }
}

/// The metadata in which a caller states its purpose.
const PURPOSE: &str = "kms-purpose";

/// The metadata in which a person's access token goes.
const AUTHORIZATION: &str = "authorization";

/// Whether the transport failed, rather than the service answered.
fn broke(status: &Status) -> bool {
    std::error::Error::source(status).is_some()
}

fn timed_out(status: &Status) -> bool {
    let mut next = std::error::Error::source(status);
    while let Some(cause) = next {
        if cause.is::<tonic::TimeoutExpired>() {
            return true;
        }
        next = cause.source();
    }
    status.code() == Code::DeadlineExceeded
}

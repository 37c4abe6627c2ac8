//! A service for tests: mutual TLS as the real one, data keys wrapped by writing them down.

pub mod attestation;
pub mod pki;
mod proposals;
mod pseudonyms;

pub use pki::Pki;

use attestation::Attester;
use kms_client::v1;
use kms_client::v1::attestation_service_server::AttestationServiceServer;
use kms_client::v1::crypto_service_server::{CryptoService, CryptoServiceServer};
use kms_client::v1::import_service_server::{ImportService, ImportServiceServer};
use kms_client::v1::proposal_service_server::ProposalServiceServer;
use kms_client::v1::pseudonym_service_server::PseudonymServiceServer;
use kms_client::{Backoff, Client, Error, Target};
use kms_core::pseudonym::Pseudonym;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// What the service keeps, and how it misbehaves.
#[derive(Default)]
pub struct Shared {
    /// Data keys by their wrapped form: of which key and context, which version, which bytes.
    wrapped: Mutex<BTreeMap<Vec<u8>, Wrapped>>,
    /// The primary version.
    pub primary: AtomicU32,
    /// How many calls came.
    pub calls: AtomicU32,
    /// How many calls to answer with UNAVAILABLE first.
    pub unavailable: AtomicU32,
    /// What is told of a quota that is used up: when it is free again.
    pub used_up: Mutex<Option<Duration>>,
    /// Whether calls get no answer.
    pub silent: AtomicBool,
    /// The request ids of changes, in the order in which they came.
    pub request_ids: Mutex<Vec<String>>,
    /// The `authorization` of each call for random bytes.
    pub authorizations: Mutex<Vec<Option<String>>>,
}

#[derive(Clone)]
struct Wrapped {
    name: String,
    context: BTreeMap<String, String>,
    version: u32,
    plaintext: Vec<u8>,
}

pub struct Service {
    pub port: u16,
    pub shared: Arc<Shared>,
}

impl Service {
    /// Serves on a free port with `server.pem`, to clients of `ca.pem`.
    pub async fn start(pki: &Pki) -> Self {
        Self::start_with(pki, Vec::new()).await
    }

    /// As [`Service::start`], with lists of who was revoked.
    pub async fn start_with(
        pki: &Pki,
        revoked: Vec<CertificateRevocationListDer<'static>>,
    ) -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = rustls::RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(pki.path("ca.pem")).unwrap())
            .unwrap();
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .with_crls(revoked)
                .build()
                .unwrap();
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(
                vec![CertificateDer::from_pem_file(pki.path("server.pem")).unwrap()],
                PrivateKeyDer::from_pem_file(pki.path("server.key")).unwrap(),
            )
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, receiver) = tokio::sync::mpsc::channel::<std::io::Result<_>>(8);
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (acceptor, sender) = (acceptor.clone(), sender.clone());
                tokio::spawn(async move {
                    if let Ok(session) = acceptor.accept(tcp).await {
                        drop(sender.send(Ok(session)).await);
                    }
                });
            }
        });
        let shared = Arc::new(Shared::default());
        shared.primary.store(1, Ordering::SeqCst);
        let crypto = CryptoServiceServer::new(Fake(Arc::clone(&shared)));
        let pseudonyms = PseudonymServiceServer::new(Fake(Arc::clone(&shared)));
        let attestations = AttestationServiceServer::new(Attester::new());
        let imports = ImportServiceServer::new(Fake(Arc::clone(&shared)));
        let proposals = ProposalServiceServer::new(Fake(Arc::clone(&shared)));
        tokio::spawn(
            tonic::transport::Server::builder()
                .add_service(crypto)
                .add_service(attestations)
                .add_service(imports)
                .add_service(proposals)
                .add_service(pseudonyms)
                .serve_with_incoming(tokio_stream::wrappers::ReceiverStream::new(receiver)),
        );
        Self { port, shared }
    }

    pub async fn client(&self, pki: &Pki) -> Client {
        let quick = Backoff {
            first: Duration::from_millis(1),
            most: Duration::from_millis(1),
            attempts: 4,
        };
        Client::connect(&pki.target(self.port, "client"))
            .await
            .unwrap()
            .with_backoff(quick)
    }

    pub fn calls(&self) -> u32 {
        self.shared.calls.load(Ordering::SeqCst)
    }
}

/// Connects and asks once: a refused certificate shows at one or the other.
pub async fn first_call(target: &Target) -> Error {
    match Client::connect(target).await {
        Err(error) => error,
        Ok(client) => {
            let asked = v1::GenerateRandomRequest { length: 1 };
            client.generate_random(asked).await.unwrap_err()
        }
    }
}

/// What the service makes of an identifier: its first bytes, well formed as a pseudonym.
pub fn pseudonym(identifier: &str) -> String {
    let mut output = [0; 32];
    for (to, from) in output.iter_mut().zip(identifier.bytes()) {
        *to = from;
    }
    let code = "whlink".parse().unwrap();
    let made = Pseudonym::of_output(code, 1, &output).unwrap();
    made.to_text().unwrap()
}

struct Fake(Arc<Shared>);

impl Fake {
    fn called(&self) -> Result<(), Status> {
        self.0.calls.fetch_add(1, Ordering::SeqCst);
        let left = self
            .0
            .unavailable
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                left.checked_sub(1)
            });
        if let Some(wait) = *self.0.used_up.lock().unwrap() {
            let details = ErrorDetails::with_retry_info(Some(wait));
            return Err(Status::with_error_details(
                Code::ResourceExhausted,
                "the quota is used up",
                details,
            ));
        }
        match left {
            Ok(_) => Err(Status::unavailable("the token is away")),
            Err(_) => Ok(()),
        }
    }

    fn wrap(&self, wrapped: Wrapped) -> Vec<u8> {
        let mut all = self.0.wrapped.lock().unwrap();
        let ciphertext = format!("wrapped data key {}", all.len()).into_bytes();
        all.insert(ciphertext.clone(), wrapped);
        ciphertext
    }

    fn unwrap(
        &self,
        name: &str,
        context: &BTreeMap<String, String>,
        ciphertext: &[u8],
    ) -> Result<Wrapped, Status> {
        let all = self.0.wrapped.lock().unwrap();
        let found = all
            .get(ciphertext)
            .filter(|one| one.name == name && one.context == *context);
        found
            .cloned()
            .ok_or_else(|| Status::invalid_argument("the ciphertext does not open"))
    }
}

fn version(name: &str, number: u32) -> String {
    format!("{name}/versions/{number}")
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl CryptoService for Fake {
    async fn generate_data_key(
        &self,
        request: Request<v1::GenerateDataKeyRequest>,
    ) -> Answer<v1::GenerateDataKeyResponse> {
        self.called()?;
        let v1::GenerateDataKeyRequest {
            name,
            context,
            length,
        } = request.into_inner();
        let number = self.0.primary.load(Ordering::SeqCst);
        let mut plaintext = vec![0; usize::try_from(length).unwrap()];
        getrandom::fill(&mut plaintext).unwrap();
        let ciphertext = self.wrap(Wrapped {
            name: name.clone(),
            context,
            version: number,
            plaintext: plaintext.clone(),
        });
        let version = version(&name, number);
        Ok(Response::new(v1::GenerateDataKeyResponse {
            plaintext,
            ciphertext,
            version,
        }))
    }

    async fn decrypt(&self, request: Request<v1::DecryptRequest>) -> Answer<v1::DecryptResponse> {
        self.called()?;
        let v1::DecryptRequest {
            name,
            ciphertext,
            context,
        } = request.into_inner();
        let found = self.unwrap(&name, &context, &ciphertext)?;
        let version = version(&name, found.version);
        Ok(Response::new(v1::DecryptResponse {
            plaintext: found.plaintext,
            version,
        }))
    }

    async fn re_encrypt(
        &self,
        request: Request<v1::ReEncryptRequest>,
    ) -> Answer<v1::ReEncryptResponse> {
        self.called()?;
        let v1::ReEncryptRequest {
            name,
            ciphertext,
            context,
        } = request.into_inner();
        let found = self.unwrap(&name, &context, &ciphertext)?;
        let number = self.0.primary.load(Ordering::SeqCst);
        let former_version = version(&name, found.version);
        let ciphertext = self.wrap(Wrapped {
            version: number,
            ..found
        });
        let version = version(&name, number);
        Ok(Response::new(v1::ReEncryptResponse {
            ciphertext,
            version,
            former_version,
        }))
    }

    async fn generate_random(
        &self,
        request: Request<v1::GenerateRandomRequest>,
    ) -> Answer<v1::GenerateRandomResponse> {
        self.called()?;
        let sent = request.metadata().get("authorization");
        let sent = sent.map(|value| value.to_str().unwrap().to_owned());
        self.0.authorizations.lock().unwrap().push(sent);
        if self.0.silent.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        let length = usize::try_from(request.into_inner().length).unwrap();
        Ok(Response::new(v1::GenerateRandomResponse {
            random: vec![7; length],
        }))
    }

    async fn encrypt(&self, _: Request<v1::EncryptRequest>) -> Answer<v1::EncryptResponse> {
        Err(Status::unimplemented("not in this test"))
    }

    async fn generate_data_key_without_plaintext(
        &self,
        _: Request<v1::GenerateDataKeyRequest>,
    ) -> Answer<v1::GenerateDataKeyWithoutPlaintextResponse> {
        Err(Status::unimplemented("not in this test"))
    }

    async fn batch_encrypt(
        &self,
        _: Request<v1::BatchEncryptRequest>,
    ) -> Answer<v1::BatchEncryptResponse> {
        Err(Status::unimplemented("not in this test"))
    }

    async fn batch_decrypt(
        &self,
        _: Request<v1::BatchDecryptRequest>,
    ) -> Answer<v1::BatchDecryptResponse> {
        Err(Status::unimplemented("not in this test"))
    }

    async fn batch_re_encrypt(
        &self,
        request: Request<v1::BatchReEncryptRequest>,
    ) -> Answer<v1::BatchReEncryptResponse> {
        use v1::batch_re_encrypt_response::{Result as Each, result::Result as Told};
        let v1::BatchReEncryptRequest { name, items } = request.into_inner();
        let mut results = Vec::new();
        for item in items {
            let one = v1::ReEncryptRequest {
                name: name.clone(),
                ciphertext: item.ciphertext,
                context: item.context,
            };
            let told = match self.re_encrypt(Request::new(one)).await {
                Ok(moved) => Told::Ok(moved.into_inner()),
                Err(status) => Told::Error(v1::ItemError {
                    code: status.code().into(),
                    message: status.message().to_owned(),
                    ..v1::ItemError::default()
                }),
            };
            results.push(Each { result: Some(told) });
        }
        Ok(Response::new(v1::BatchReEncryptResponse { results }))
    }

    async fn batch_generate_data_key(
        &self,
        _: Request<v1::BatchGenerateDataKeyRequest>,
    ) -> Answer<v1::BatchGenerateDataKeyResponse> {
        Err(Status::unimplemented("not in this test"))
    }
}

/// Whatever is imported becomes version 1.
#[tonic::async_trait]
impl ImportService for Fake {
    async fn get_import_parameters(
        &self,
        _: Request<v1::GetImportParametersRequest>,
    ) -> Answer<v1::ImportParameters> {
        Err(Status::unimplemented("not in this test"))
    }

    async fn check_import(
        &self,
        _: Request<v1::CheckImportRequest>,
    ) -> Answer<v1::CheckImportResponse> {
        Err(Status::unimplemented("not in this test"))
    }

    async fn import_key(&self, request: Request<v1::ImportKeyRequest>) -> Answer<v1::ImportedKey> {
        let v1::ImportKeyRequest {
            name, request_id, ..
        } = request.into_inner();
        self.0.request_ids.lock().unwrap().push(request_id);
        self.called()?;
        if self.0.silent.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        let name = version(&name, 1);
        let version = v1::KeyVersion {
            name,
            ..v1::KeyVersion::default()
        };
        Ok(Response::new(v1::ImportedKey {
            version: Some(version),
            ..v1::ImportedKey::default()
        }))
    }
}

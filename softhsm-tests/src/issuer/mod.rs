//! An OpenID provider of our own: real HTTPS, mutual TLS where tokens are given, metadata, keys
//! that rotate, a sign-in that is approved at once; and whatever misbehaviour a test asks for.

#![allow(
    clippy::indexing_slicing,
    reason = "members of JSON objects that are made here"
)]

mod endpoint;
mod signer;
mod token;

pub use signer::Signer;
pub use token::Token;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use kms_openid::Thumbprint;
use rustls::{
    RootCertStore, ServerConfig, crypto::aws_lc_rs::default_provider, pki_types::PrivateKeyDer,
    server::WebPkiClientVerifier,
};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use tokio::{net::TcpListener, runtime::Runtime};
use tokio_rustls::TlsAcceptor;

use crate::{Authority, Identity};

/// What the provider calls the service.
pub const AUDIENCE: &str = "https://kms.emc2.example";

/// What it calls the command line.
pub const CLIENT_ID: &str = "kms";

/// A provider that serves until it is dropped.
#[derive(Debug)]
pub struct Issuer {
    runtime: Option<Runtime>,
    directory: tempfile::TempDir,
    shared: Arc<Shared>,
}

/// A change of a token before it is signed.
pub type Change = Box<dyn Fn(&mut Token) + Send>;

/// How the provider behaves; a new one does nothing wrong.
#[derive(Default)]
pub struct Behaviour {
    /// Nobody answers.
    pub away: bool,
    /// Every sign-in is refused.
    pub refuses: bool,
    /// Whoever comes is somebody else than Olivia.
    pub subject: Option<String>,
    /// When the person last proved who they are, in seconds before now. A sign-in from before
    /// what is asked for is made anew, unless `stubborn`.
    pub signed_in_before: u64,
    /// `max_age` and `prompt` are not obeyed.
    pub stubborn: bool,
    /// What its metadata say otherwise.
    pub metadata: Vec<(&'static str, serde_json::Value)>,
    /// What its ID tokens say otherwise.
    pub id_token: Option<Change>,
    /// What its access tokens say otherwise.
    pub access_token: Option<Change>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    url: String,
    own: Identity,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    behaviour: Behaviour,
    clients: Option<PathBuf>,
    /// The last one signs, all are shown.
    keys: Vec<Signer>,
    codes: BTreeMap<String, Granted>,
    asked_for_keys: usize,
    numbers: usize,
}

/// What a code stands for.
#[derive(Debug, Clone)]
struct Granted {
    challenge: String,
    redirect: String,
    nonce: String,
    auth_time: u64,
}

impl std::fmt::Debug for Behaviour {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Behaviour")
    }
}

impl Issuer {
    /// Serves on a free port of loopback.
    ///
    /// # Panics
    /// When it cannot.
    pub fn start() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let authority = Authority::create(directory.path(), "issuer.example")
            .unwrap_or_else(|cause| panic!("{cause}"));
        let own = authority.server().unwrap_or_else(|cause| panic!("{cause}"));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        // Bound without waiting: a test may be in a runtime of its own, where nothing may block.
        let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        socket
            .set_nonblocking(true)
            .expect("a socket of the runtime");
        let listener = {
            let _inside = runtime.enter();
            TcpListener::from_std(socket).expect("a socket of the runtime")
        };
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            url: format!("https://{address}"),
            own,
            state: Mutex::default(),
        });
        shared.state().rotate(Signer::es256);
        runtime.spawn(serve(listener, Arc::clone(&shared)));
        Self {
            runtime: Some(runtime),
            directory,
            shared,
        }
    }

    /// Knows clients by certificates of this authority, PEM, from now on.
    pub fn admit(&self, clients: &Path) {
        self.shared.state().clients = Some(clients.to_owned());
    }

    /// The issuer's name, which is its address.
    pub fn url(&self) -> &str {
        &self.shared.url
    }

    /// The authority of its certificate, PEM.
    pub fn authority(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// Changes how it behaves from now on.
    pub fn behave(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.shared.state().behaviour);
    }

    /// Signs with a new key from now on; the older ones are still shown.
    pub fn rotate(&self, make: impl FnOnce(String) -> Signer) {
        self.shared.state().rotate(make);
    }

    /// Shows the signing key alone.
    pub fn drop_old_keys(&self) {
        let mut state = self.shared.state();
        let last = state.keys.len().saturating_sub(1);
        state.keys.drain(..last);
    }

    /// How often its keys were asked for.
    pub fn asked_for_keys(&self) -> usize {
        self.shared.state().asked_for_keys
    }

    /// An access token as a good sign-in would give it to the holder of this certificate, after
    /// `change` had its way.
    pub fn access_token(
        &self,
        certificate: &Thumbprint,
        change: impl FnOnce(&mut Token),
    ) -> String {
        let mut token = self
            .shared
            .state()
            .access_token(self.url(), Some(certificate), now());
        change(&mut token);
        token.signed()
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        // In a test's own runtime, where nothing may block.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn rotate(&mut self, make: impl FnOnce(String) -> Signer) {
        let id = self.next("key");
        self.keys.push(make(id));
    }

    /// A name that was never given before.
    fn next(&mut self, prefix: &str) -> String {
        self.numbers += 1;
        format!("{prefix}-{}", self.numbers)
    }
}

/// Now, in seconds since 1970.
pub fn now() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or_default()
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (away, clients) = {
            let state = shared.state();
            (state.behaviour.away, state.clients.clone())
        };
        if away {
            continue;
        }
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let acceptor = TlsAcceptor::from(Arc::new(tls(clients.as_deref(), &shared.own)));
            // A client that does not trust us goes away: that is its answer.
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            let certificate = stream
                .get_ref()
                .1
                .peer_certificates()
                .and_then(<[_]>::first)
                .map(|certificate| Thumbprint::of(certificate));
            let service = service_fn(|request| endpoint::answer(&shared, certificate, request));
            // A client that breaks off has nobody to complain to.
            drop(
                http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await,
            );
        });
    }
}

/// A certificate is asked for and not insisted on: browsers have none.
fn tls(clients: Option<&Path>, own: &Identity) -> ServerConfig {
    let provider = Arc::new(default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("TLS 1.2 and 1.3");
    let builder = match clients {
        Some(clients) => {
            let mut roots = RootCertStore::empty();
            roots
                .add(CertificateDer::from_pem_file(clients).expect("the clients' authority"))
                .expect("the clients' authority");
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .allow_unauthenticated()
                .build()
                .expect("a verifier of clients");
            builder.with_client_cert_verifier(verifier)
        }
        None => builder.with_no_client_auth(),
    };
    builder
        .with_single_cert(
            vec![CertificateDer::from_pem_file(&own.certificate).expect("a certificate")],
            PrivateKeyDer::from_pem_file(&own.key).expect("a key"),
        )
        .expect("a certificate and its key")
}

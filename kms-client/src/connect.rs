//! A connection to one service.

use crate::{Address, Backoff, Error, Identity, Kind, SignIn, tls};
use hyper_util::rt::TokioIo;
use kms_core::name::Slug;
use secrecy::ExposeSecret;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::AsyncBufReadExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint, Uri};
use tower::Service;

/// Which service, and as whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// `https://host:port`.
    pub endpoint: String,
    /// PEM: the authorities that the service's certificate may come from.
    pub ca: PathBuf,
    /// PEM: our certificate, then any intermediate ones.
    pub certificate: PathBuf,
    /// PEM: our private key; a file that only its owner may read.
    pub key: PathBuf,
}

/// A client of one service. Cheap to clone; clones share one HTTP/2 connection, which is made
/// again by itself when it is lost.
#[derive(Clone, Debug)]
pub struct Client {
    pub(crate) channel: Channel,
    endpoint: Endpoint,
    target: Target,
    pub(crate) address: Address,
    pub(crate) deadline: Duration,
    pub(crate) backoff: Backoff,
    pub(crate) identity: Identity,
    pub(crate) purpose: Option<MetadataValue<Ascii>>,
    pub(crate) bearer: Option<Bearer>,
}

/// What is sent with each call for as long as the sign-in is in force.
#[derive(Clone, Debug)]
pub(crate) struct Bearer {
    sign_in: SignIn,
    /// Marked as sensitive: it is neither shown nor kept in a table of the HTTP/2 connection.
    header: MetadataValue<Ascii>,
}

impl Bearer {
    /// The `authorization` of a call.
    ///
    /// # Errors
    /// [`Kind::Refused`] when the sign-in has ended.
    pub(crate) fn authorization(&self) -> Result<MetadataValue<Ascii>, Error> {
        self.sign_in.in_force()?;
        Ok(self.header.clone())
    }
}

impl Client {
    /// Connects, with mutual TLS 1.3. Whenever the connection has to be made again the files are read
    /// again: a program that runs for longer than its certificate lives goes on with the next one,
    /// as long as that is there in time.
    ///
    /// # Errors
    /// [`Kind::Usage`] for an endpoint that is none, [`Kind::Io`] and [`Kind::Tls`] as
    /// [`Identity::load`], [`Kind::Tls`] when one end does not trust the other,
    /// and [`Kind::Unavailable`] when nobody listens or nobody answers within ten seconds.
    pub async fn connect(target: &Target) -> Result<Self, Error> {
        let address = Address::parse(&target.endpoint)?;
        let identity = Identity::load(target)?;
        let wrong = |e| Error::new(Kind::Usage, format!("{address} is not an endpoint: {e}"));
        let origin: Uri = address.to_string().parse().map_err(wrong)?;
        // TLS is our connector's: tonic, where its own is compiled in, would insist on it for https.
        let plain = address.to_string().replacen("https", "http", 1);
        let endpoint = Endpoint::from(plain.parse::<Uri>().map_err(wrong)?)
            .origin(origin)
            .tcp_nodelay(true)
            .http2_adaptive_window(true)
            .keep_alive_while_idle(true)
            .http2_keep_alive_interval(Duration::from_secs(20));
        let channel = endpoint
            .connect_with_connector(connector(&address, target, &identity))
            .await
            .map_err(|e| failed(&address, &e))?;
        Ok(Self {
            channel,
            endpoint,
            target: target.clone(),
            address,
            deadline: Duration::from_secs(30),
            backoff: Backoff::default(),
            identity,
            purpose: None,
            bearer: None,
        })
    }

    /// The same on a connection of its own, which is made with the first call.
    pub(crate) fn apart(&self) -> Self {
        let connector = connector(&self.address, &self.target, &self.identity);
        Self {
            channel: self.endpoint.connect_with_connector_lazy(connector),
            ..self.clone()
        }
    }

    /// The same connection with a person's sign-in sent with every call.
    ///
    /// # Errors
    /// [`Kind::Refused`] when the sign-in has ended, or is bound to another certificate than that of
    /// this connection.
    pub fn signed_in(mut self, sign_in: &SignIn) -> Result<Self, Error> {
        sign_in.in_force()?;
        if sign_in.certificate != self.identity.thumbprint().to_hex() {
            return Err(Error::new(
                Kind::Refused,
                "you signed in with another certificate than this one; run kms login",
            ));
        }
        // The value is a secret: nothing of it is told.
        let header = format!("Bearer {}", sign_in.token.expose_secret());
        let mut header: MetadataValue<Ascii> = header.parse().map_err(|_token| {
            Error::new(
                Kind::Refused,
                "the token of your sign-in cannot be sent; run kms login",
            )
        })?;
        header.set_sensitive(true);
        let sign_in = sign_in.clone();
        self.bearer = Some(Bearer { sign_in, header });
        Ok(self)
    }

    /// The same connection with another deadline for each call, retries included. The default is
    /// 30 seconds.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// The same connection, stating with each call what it is for: the study that a key serves, as
    /// its owner named it (`kms_core::name::Slug`).
    ///
    /// # Errors
    /// [`Kind::Usage`] when it is no such name.
    pub fn with_purpose(mut self, purpose: &str) -> Result<Self, Error> {
        let wrong = |e: &dyn std::fmt::Display| {
            Error::new(Kind::Usage, format!("{purpose:?} is not a purpose: {e}"))
        };
        let slug: Slug = purpose.parse().map_err(|e: kms_core::Error| wrong(&e))?;
        self.purpose = Some(
            slug.as_str()
                .parse()
                .map_err(|e: tonic::metadata::errors::InvalidMetadataValue| wrong(&e))?,
        );
        Ok(self)
    }

    /// The same connection with other waits between attempts.
    #[must_use]
    pub fn with_backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }
}

/// What a broken transport means. [`Kind::Unavailable`] when it is not about certificates.
pub(crate) fn failed(address: &Address, error: &(dyn std::error::Error + 'static)) -> Error {
    if let Some(explained) = tls::explain(address, error) {
        return explained;
    }
    let mut deepest = error;
    while let Some(cause) = deepest.source() {
        deepest = cause;
    }
    let why = match deepest.downcast_ref::<io::Error>().map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionRefused) => {
            "nobody listens there; is the service running?".to_owned()
        }
        Some(io::ErrorKind::TimedOut) => "nobody answers; check host, port and network".to_owned(),
        Some(_) | None => deepest.to_string(),
    };
    Error::new(Kind::Unavailable, format!("cannot reach {address}: {why}"))
}

/// Dials whenever a connection has to be made.
fn connector(
    address: &Address,
    target: &Target,
    identity: &Identity,
) -> impl Service<
    Uri,
    Response = TokioIo<TlsStream<TcpStream>>,
    Error = io::Error,
    Future = impl Future<Output = io::Result<TokioIo<TlsStream<TcpStream>>>> + Send + use<>,
> + Send
+ use<> {
    let (address, target, first) = (address.clone(), target.clone(), identity.clone());
    tower::service_fn(move |_: Uri| {
        let (address, target, first) = (address.clone(), target.clone(), first.clone());
        async move {
            let connector = TlsConnector::from(renewed(target, first).await.config());
            dial(&address, &connector).await.map(TokioIo::new)
        }
    })
}

/// What the files say now; while they are being renewed and do not go together, what they said first.
async fn renewed(target: Target, first: Identity) -> Identity {
    let read = tokio::task::spawn_blocking(move || Identity::load(&target).ok());
    read.await.ok().flatten().unwrap_or(first)
}

const DIAL: Duration = Duration::from_secs(10);
const SILENCE: Duration = Duration::from_secs(2);

async fn dial(address: &Address, connector: &TlsConnector) -> io::Result<TlsStream<TcpStream>> {
    let reached = async {
        let tcp = TcpStream::connect((address.host(), address.port())).await?;
        tcp.set_nodelay(true)?;
        let mut session = connector.connect(address.name(), tcp).await?;
        judged(&mut session).await?;
        Ok(session)
    };
    tokio::time::timeout(DIAL, reached)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Waits until the server has judged our certificate. With TLS 1.3 our side of the handshake ends
/// before that; what we sent meanwhile would reach a server that has closed, whose reset could
/// overtake the alert that says why. A server of HTTP/2 speaks first (RFC 9113, section 3.4), so
/// its first byte is its consent; one that stays silent is taken at its word after a while.
async fn judged(session: &mut TlsStream<TcpStream>) -> io::Result<()> {
    match tokio::time::timeout(SILENCE, session.fill_buf()).await {
        Ok(Ok([])) => Err(io::ErrorKind::UnexpectedEof.into()),
        Ok(Ok(_)) | Err(_) => Ok(()),
        Ok(Err(e)) => Err(e),
    }
}

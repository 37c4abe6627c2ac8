//! `serve`: all the wiring, in one visible place.

use crate::audit::DiskJournal;
use crate::clock::SystemClock;
use crate::config::{Config, LogFormat, LogLevel};
use crate::engine::{Engine, Parts, Vitals};
use crate::grpc::{self, Door};
use crate::health::Health;
use crate::hsm::{Hsm, Pool};
use crate::init;
use crate::listener::{Admits, Connection, Listener, Tls};
use crate::metrics::Metrics;
use crate::openid::Verifier;
use crate::process;
use crate::scrape::Scrape;
use crate::store::SledStore;
use kms_core::command::LogName;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_stream::StreamExt;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use tower::util::MapRequestLayer;
use tracing_subscriber::filter::LevelFilter;

/// Calls that are under way when the server is told to stop have this long to end.
const DRAIN: Duration = Duration::from_secs(30);

/// Everything that a deployment is made of, opened.
#[derive(Debug)]
pub struct Opened {
    /// The HSM's threads.
    pub pool: Attended,
    /// What the engine works with.
    pub parts: Parts,
}

/// The HSM's threads, ended before this is gone, whichever way `serve`, `init` or `doctor` ends: the
/// vendor's library must not be unloaded under them.
#[derive(Debug)]
pub struct Attended(Arc<Pool>);

impl Attended {
    /// Starts them. Blocks.
    ///
    /// # Errors
    /// When the module cannot be loaded, in one sentence.
    pub fn start(config: &Config) -> Result<Self, String> {
        let pool = Pool::start(config.hsm.clone()).map_err(|e| said(&e))?;
        Ok(Attended(Arc::new(pool)))
    }

    /// The HSM behind them.
    #[must_use]
    pub fn hsm(&self) -> Arc<dyn Hsm> {
        self.0.clone()
    }
}

impl Drop for Attended {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// Opens what is under `config.data`, and the HSM. Blocks.
///
/// # Errors
/// One sentence that says what is wrong and what to do.
pub fn open(config: &Config) -> Result<Opened, String> {
    if !config.data.join(STORE).exists() {
        let place = config.data.display();
        // `init` makes the logs first. Where one remembers a deployment, it would refuse.
        return Err(if config.data.join(LogName::Changes.name()).exists() {
            format!(
                "the store is gone from {place}, and its log is there: `kms-server rebuild` makes \
                 it again, see the runbook store-lost; only a `kms-server init` that was \
                 interrupted is run again"
            )
        } else {
            format!(
                "there is no deployment under {place}; if this is a new one run `kms-server \
                 init`, and if a disk is missing bring it back"
            )
        });
    }
    let store = SledStore::open(&config.data.join(STORE)).map_err(|e| e.to_string())?;
    let logs = Logs::open(&config.data)?;
    let pool = Attended::start(config)?;
    let parts = parts(config, &pool, store, logs);
    Ok(Opened { pool, parts })
}

/// The two logs of a deployment, open in this process alone.
#[derive(Debug)]
pub struct Logs {
    /// The log of changes.
    pub changes: Arc<DiskJournal>,
    /// The log of uses.
    pub uses: Arc<DiskJournal>,
}

impl Logs {
    /// Opens those under a data directory. Blocks.
    ///
    /// # Errors
    /// One sentence that says which is missing, damaged or open elsewhere.
    pub fn open(data: &Path) -> Result<Self, String> {
        let open = |name| DiskJournal::open(data, name).map_err(|e| e.to_string());
        Ok(Logs {
            changes: Arc::new(open(LogName::Changes)?),
            uses: Arc::new(open(LogName::Uses)?),
        })
    }
}

/// What the engine works with.
#[must_use]
pub fn parts(config: &Config, pool: &Attended, store: SledStore, logs: Logs) -> Parts {
    Parts {
        hsm: pool.hsm(),
        store: Arc::new(store),
        changes: logs.changes,
        uses: logs.uses,
        clock: Arc::new(SystemClock::default()),
        metrics: Arc::new(Metrics::default()),
        provider: config.openid.is_some(),
    }
}

/// The store's directory under the data directory.
pub const STORE: &str = "store";

/// An error and its cause, for an operator.
#[must_use]
pub fn said(error: &kms_core::Error) -> String {
    let cause = error.cause().map(|c| format!(" ({c})")).unwrap_or_default();
    format!("{}{cause}", error.message())
}

/// Starts the server's own log.
///
/// # Errors
/// When there is one already.
pub fn start_log(config: &Config) -> Result<(), String> {
    let level = match config.log.level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let builder = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr);
    let started = match config.log.format {
        LogFormat::Json => builder
            .json()
            .flatten_event(true)
            .with_ansi(false)
            .try_init(),
        LogFormat::Text => builder.with_ansi(false).try_init(),
    };
    started.map_err(|e| e.to_string())
}

/// Serves until SIGTERM or SIGINT, then drains.
///
/// # Errors
/// One sentence that says why nothing is served.
pub async fn serve(config: Config) -> Result<(), String> {
    process::outlive_file_limits().map_err(|e| e.to_string())?;
    let opened = open_apart(config.clone()).await?;
    let metrics = Arc::clone(&opened.parts.metrics);
    let clock = Arc::clone(&opened.parts.clock);
    let engine = Arc::new(
        Engine::open(opened.parts)
            .await
            .map_err(|e| e.to_string())?,
    );
    let domain = engine.trust_domain().map_err(|e| said(&e))?;
    init::complete(&engine).await;
    let (stop, stopping) = watch::channel(false);
    let (reporter, health) = tonic_health::server::health_reporter();
    let follower = tokio::spawn(follow_health(
        engine.vitals(),
        reporter,
        Arc::clone(&metrics),
        stopping.clone(),
    ));
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(kms_proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .build_v1()
            .map_err(|e| e.to_string())
    };
    let people = match &config.openid {
        Some(settings) => {
            let people = Verifier::new(settings.clone(), Arc::clone(&clock));
            Some(Arc::new(people.map_err(|e| said(&e))?))
        }
        None => None,
    };
    // A provider that is away does not keep the service from starting; its operator reads why now,
    // and not when the first person signs in.
    if let Some(people) = people.clone() {
        tokio::spawn(async move { people.meet().await });
    }
    let clockwork = tokio::spawn(Arc::clone(&engine).keep_time(stopping.clone()));
    let keeper = Arc::clone(&engine);
    let statistics = tokio::spawn(Arc::clone(&engine).keep_statistics(stopping.clone()));
    let door = Door::new(engine, people, stopping.clone());
    let (mut listeners, mut certificates, mut addresses) = (Vec::new(), Vec::new(), Vec::new());
    for listening in &config.listeners {
        let terms = (&listening.files, &listening.limits);
        let admits = Admits::Callers(domain.clone());
        let clock = Arc::clone(&clock);
        let listener = Listener::bind(listening.address, terms, admits, clock, &metrics).await?;
        let address = listener.address().map_err(|e| e.to_string())?;
        certificates.push(listener.tls());
        addresses.push(address.to_string());
        let mut routes = grpc::routes(&door);
        routes
            .add_service(health.clone())
            .add_service(reflection()?);
        let server = tonic::transport::Server::builder()
            .http2_keepalive_interval(Some(Duration::from_secs(30)))
            .layer(MapRequestLayer::new(grpc::stated))
            .add_routes(grpc::heard(routes.routes(), door.clone()));
        let mut stopping = stopping.clone();
        let stopped = async move { stopping.wait_for(|stop| *stop).await.map_or((), |_| ()) };
        let planes = listening.planes;
        let connections = listener
            .connections()
            .map(|stream| stream.and_then(|stream| Connection::new_at(stream, planes)));
        listeners.push(tokio::spawn(
            server.serve_with_incoming_shutdown(connections, stopped),
        ));
    }
    let scrape = match &config.metrics {
        Some(listening) => Some(Scrape::serve(listening, metrics, clock, stopping).await?),
        None => None,
    };
    certificates.extend(scrape.iter().filter_map(|s| s.tls.clone()));
    let scraped = scrape.map(|s| s.address.to_string());
    tell_endpoints(&config.data, &addresses, scraped.as_deref())?;
    tracing::info!(listeners = ?addresses, metrics = scraped, "serving");
    wait_for_the_end(&certificates).await?;
    tracing::info!("stopping: calls under way are finished");
    stop.send_replace(true);
    let drained = async {
        for listener in listeners {
            match listener.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "a listener ended badly"),
                Err(error) => tracing::warn!(%error, "a listener ended badly"),
            }
        }
    };
    if tokio::time::timeout(DRAIN, drained).await.is_err() {
        tracing::warn!("some calls did not end within 30 seconds and were given up");
    }
    if let Err(error) = clockwork.await {
        tracing::warn!(%error, "what was due ended badly");
    }
    if let Err(error) = statistics.await {
        tracing::warn!(%error, "the statistics of use ended badly");
    }
    keeper.keep_usage().await;
    drop(keeper);
    follower.abort();
    drop(door);
    end(opened.pool).await?;
    tracing::info!("stopped");
    Ok(())
}

/// Ends the HSM's threads, apart: it blocks.
///
/// # Errors
/// When they ended badly.
pub async fn end(pool: Attended) -> Result<(), String> {
    tokio::task::spawn_blocking(move || drop(pool))
        .await
        .map_err(|e| e.to_string())
}

async fn open_apart(config: Config) -> Result<Opened, String> {
    tokio::task::spawn_blocking(move || open(&config))
        .await
        .map_err(|e| e.to_string())?
}

/// The health service says whether everything that the service stands on does its part, until the
/// server stops.
async fn follow_health(
    mut vitals: Vitals,
    reporter: HealthReporter,
    metrics: Arc<Metrics>,
    mut stopping: watch::Receiver<bool>,
) {
    let serves = |part: &mut watch::Receiver<Health>| *part.borrow_and_update() == Health::Serving;
    loop {
        let stays = !*stopping.borrow_and_update();
        let hsm = serves(&mut vitals.hsm) && stays;
        let storage = [&mut vitals.store, &mut vitals.changes, &mut vitals.uses].map(serves);
        let storage = !storage.contains(&false) && stays;
        metrics.hsm_serving.set(i64::from(hsm));
        metrics.storage_serving.set(i64::from(storage));
        let status = if hsm && storage {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        };
        for name in grpc::NAMES.iter().chain(&[""]) {
            reporter.set_service_status(*name, status).await;
        }
        let heard = tokio::select! {
            changed = vitals.hsm.changed() => changed,
            changed = vitals.store.changed() => changed,
            changed = vitals.changes.changed() => changed,
            changed = vitals.uses.changed() => changed,
            changed = stopping.changed() => changed,
        };
        if heard.is_err() {
            return;
        }
    }
}

/// Where the server can be reached, for whoever let the system choose a port.
fn tell_endpoints(data: &Path, listeners: &[String], metrics: Option<&str>) -> Result<(), String> {
    let text = serde_json::json!({ "listeners": listeners, "metrics": metrics }).to_string();
    let (new, place) = (data.join("endpoints.json.new"), data.join("endpoints.json"));
    std::fs::write(&new, text)
        .and_then(|()| std::fs::rename(&new, &place))
        .map_err(|e| format!("{}: {e}", place.display()))
}

/// Returns when the server must stop; SIGHUP reads the certificates again.
async fn wait_for_the_end(certificates: &[Arc<Tls>]) -> Result<(), String> {
    let listen = |kind| signal(kind).map_err(|e| e.to_string());
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut reload = listen(SignalKind::hangup())?;
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = reload.recv() => for tls in certificates {
                let tls = Arc::clone(tls);
                let reloading = tokio::task::spawn_blocking(move || tls.reload());
                if let Err(error) = reloading.await {
                    tracing::error!(%error, "certificates could not be read again");
                }
            },
        }
    }
}

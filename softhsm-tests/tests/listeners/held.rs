//! A connection that is held open by a call that never ends, to see when it is cut off.

use futures::FutureExt as _;
use softhsm_tests::{Identity, channel::connect_to};
use std::time::Duration;
use tokio::{runtime::Runtime, time::timeout};
use tonic::{Status, Streaming};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse, health_client::HealthClient};

/// Far longer than the two seconds that the service promises, for a busy machine.
const BOUND: Duration = Duration::from_secs(15);

/// A connection in use.
pub(crate) struct Held {
    runtime: Runtime,
    watch: Streaming<HealthCheckResponse>,
}

impl Held {
    /// Connects and begins the call; an error says why not.
    pub(crate) fn open(address: &str, identity: &Identity) -> Result<Self, String> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let watch = runtime.block_on(async {
            let channel = connect_to(address, identity).await;
            let mut client = HealthClient::new(channel.map_err(|e| e.to_string())?);
            let request = HealthCheckRequest {
                service: String::new(),
            };
            let answer = client.watch(request).await.map_err(|e| e.to_string())?;
            let mut watch = answer.into_inner();
            watch.message().await.map_err(|e| e.to_string())?;
            Ok::<_, String>(watch)
        })?;
        Ok(Held { runtime, watch })
    }

    /// Whether it is still open: its call has neither answered nor failed.
    pub(crate) fn is_open(&mut self) -> bool {
        let _inside = self.runtime.enter();
        self.watch.message().now_or_never().is_none()
    }

    /// Waits until it is cut off, and gives how the call ended.
    pub(crate) fn until_cut(mut self) -> Status {
        let cut = async {
            loop {
                match self.watch.message().await {
                    Ok(Some(_)) => {}
                    Ok(None) => panic!("the call ended well"),
                    Err(status) => return status,
                }
            }
        };
        self.runtime
            .block_on(async { timeout(BOUND, cut).await })
            .expect("the connection to be cut off")
    }
}

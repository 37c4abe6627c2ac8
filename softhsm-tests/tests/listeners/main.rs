//! Connections: who may have one, for how long, and how certificates, authorities and
//! revocation lists change under a server that serves.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod environment;
mod expiry;
mod held;
mod identity;
mod limit;
mod metrics;
mod own_roots;
mod reload;
mod revocation;
mod start;

use softhsm_tests::{
    Deployment, Identity, Revoked,
    channel::{connect_to, health},
    configuration::ServerFile,
    wait::until,
};
use tonic_health::pb::health_check_response::ServingStatus;

/// A deployment whose listener has the list `pki/ca.crl`, empty and good for an hour.
fn with_a_list() -> Deployment {
    let mut kms = Deployment::emc2()
        .configure(|file| file.listener[0].client_crl = vec!["pki/ca.crl".into()])
        .prepare();
    publish(&kms, 1, &[]);
    kms.init().succeeds();
    kms.restart();
    kms
}

/// Publishes the authority's list, good for an hour.
fn publish(kms: &Deployment, number: u64, certificates: &[&Identity]) {
    let revoked = Revoked {
        number,
        valid: (-60, 3600),
        certificates: certificates.to_vec(),
    };
    let file = kms.directory().join("pki/ca.crl");
    kms.authority().list(&file, &revoked).unwrap();
}

/// The address of a listener.
fn address(kms: &mut Deployment, listener: usize) -> String {
    kms.server().endpoints().listeners[listener].clone()
}

/// The value of a sample of a listener, named without its braces.
fn sample(kms: &mut Deployment, listener: usize, metric: &str, label: &str) -> Option<f64> {
    let address = address(kms, listener);
    let label = if label.is_empty() {
        String::new()
    } else {
        format!(",{label}")
    };
    kms.metrics()
        .value(&format!("{metric}{{listener=\"{address}\"{label}}}"))
}

/// How many handshakes the first listener has refused for this reason so far.
fn refused(kms: &mut Deployment, reason: &str) -> f64 {
    let label = format!("reason=\"{reason}\"");
    sample(kms, 0, "kms_tls_handshakes_refused_total", &label).unwrap_or(0.0)
}

/// Waits until that is this many: whoever was refused knows it a moment earlier.
fn until_refused(kms: &mut Deployment, reason: &str, times: f64) {
    until(&format!("{times} refusals of {reason}"), || {
        (refused(kms, reason) == times).then_some(())
    });
}

/// How many open connections a listener has ended for this reason.
fn ended(kms: &mut Deployment, reason: &str) -> f64 {
    let label = format!("reason=\"{reason}\"");
    sample(kms, 0, "kms_tls_connections_ended_total", &label).unwrap_or(0.0)
}

/// Waits until the first listener has taken in as many changes of its files.
fn reloads(kms: &mut Deployment, times: f64) {
    until("changed files to be taken in", || {
        (sample(kms, 0, "kms_tls_reloads_total", "") >= Some(times)).then_some(())
    });
}

/// Whether this identity may connect to a listener: SERVING, or why not.
fn knock(address: &str, identity: &Identity) -> Result<ServingStatus, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let channel = connect_to(address, identity).await;
        health(channel.map_err(|e| e.to_string())?)
            .await
            .map_err(|e| e.to_string())
    })
}

/// Only this listener, changed.
fn first(file: &mut ServerFile) -> &mut softhsm_tests::configuration::Listener {
    &mut file.listener[0]
}

//! Two listeners, each with its own authority and its own side of the service.

use super::{address, knock};
use kms_proto::v1::{self, crypto_service_client::CryptoServiceClient};
use softhsm_tests::{
    Authority, Deployment, Identity, channel::connect_to, configuration::Listener, gateway::reason,
    wait::until,
};
use tonic::{Code, Status};
use v1::space_service_client::SpaceServiceClient;

/// Services come to the first, people to the second, with certificates of two authorities.
fn two_listeners() -> (Deployment, Authority) {
    let kms = Deployment::emc2()
        .configure(|file| {
            file.listener[0].planes = vec!["data".to_owned()];
            file.listener.push(Listener {
                planes: vec!["administration".to_owned()],
                ..Listener::loopback("pki-people")
            });
        })
        .prepare();
    let people = kms.directory().join("pki-people");
    let people = Authority::create(&people, "dev.emc2.example").unwrap();
    (kms, people)
}

fn of(authority: &Authority, principal: &str, kms: &Deployment) -> Identity {
    Identity {
        ca: kms.authority().certificate(),
        ..authority.client(principal).unwrap()
    }
}

fn encrypt(address: &str, identity: &Identity) -> Result<(), Status> {
    ask(address, identity, async |channel| {
        let request = v1::EncryptRequest {
            name: "spaces/ingest-lyon/keys/object".to_owned(),
            plaintext: b"x".to_vec(),
            context: Default::default(),
        };
        CryptoServiceClient::new(channel)
            .encrypt(request)
            .await
            .map(drop)
    })
}

fn create_space(address: &str, identity: &Identity, id: &str) -> Result<(), Status> {
    ask(address, identity, async |channel| {
        let request = v1::CreateSpaceRequest {
            space: Some(v1::Space {
                name: format!("spaces/{id}"),
                kind: v1::SpaceKind::Project.into(),
                title: "A project".to_owned(),
                ..v1::Space::default()
            }),
            ..v1::CreateSpaceRequest::default()
        };
        SpaceServiceClient::new(channel)
            .create_space(request)
            .await
            .map(drop)
    })
}

fn ask<T>(
    address: &str,
    identity: &Identity,
    call: impl AsyncFnOnce(tonic::transport::Channel) -> Result<T, Status>,
) -> Result<T, Status> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let channel = connect_to(address, identity).await.unwrap();
        call(channel).await
    })
}

#[test]
fn each_listener_has_its_own_authority() {
    let (mut kms, people) = two_listeners();
    kms.init().succeeds();
    kms.restart();
    let [data, administration] = [0, 1].map(|n| address(&mut kms, n));
    let service = kms.identity("lyon-etl").clone();
    let person = of(&people, "person/stella", &kms);
    knock(&data, &service).unwrap();
    knock(&administration, &person).unwrap();
    assert!(knock(&data, &person).is_err());
    assert!(knock(&administration, &service).is_err());
    for listener in [&data, &administration] {
        let refused = format!(
            "kms_tls_handshakes_refused_total{{listener=\"{listener}\",reason=\"unknown_authority\"}}"
        );
        until(&refused, || {
            (kms.metrics().value(&refused) == Some(1.0)).then_some(())
        });
    }
}

/// The same people and services, with certificates for both: it is the listener that refuses.
#[test]
fn each_listener_has_its_own_side_of_the_service() {
    let (mut kms, people) = two_listeners();
    kms.init().succeeds();
    kms.restart();
    let [data, administration] = [0, 1].map(|n| address(&mut kms, n));
    let stella = kms.identity("stella").clone();
    let stella_administers = of(&people, "person/stella", &kms);
    let etl = kms.identity("lyon-etl").clone();
    let etl_administers = of(&people, "service/lyon-etl", &kms);
    create_space(&administration, &stella_administers, "ingest-lyon").unwrap();

    for refused in [
        create_space(&data, &stella, "other").unwrap_err(),
        encrypt(&administration, &etl_administers).unwrap_err(),
    ] {
        assert_eq!(refused.code(), Code::PermissionDenied, "{refused:?}");
        assert_eq!(reason(&refused), "REFUSED");
        assert!(refused.message().contains("listener"), "{refused:?}");
    }
    // There is no such key: at its own listener that, and not the listener, is what is said.
    let told = encrypt(&data, &etl).unwrap_err();
    assert!(!told.message().contains("listener"), "{told:?}");
}

//! That the table of calls and actions, which a security officer reads, is what the server does.

use softhsm_tests::gateway::{Gateway, reason};
use softhsm_tests::{Deployment, program::repository};
use tonic::{Code, Request, Status, client::Grpc, codegen::http::uri::PathAndQuery};
use tonic_prost::ProstCodec;

/// Each call of the interface, and the action that it asks for: the golden table.
fn table() -> Vec<(String, String)> {
    let golden = repository()
        .join("kms-server/tests/snapshots/interface__every_call_asks_for_an_action.snap");
    let text = std::fs::read_to_string(golden).unwrap();
    let mut service = "";
    let mut calls = Vec::new();
    for line in text.lines() {
        match line.split_whitespace().collect::<Vec<_>>()[..] {
            [name] if name.ends_with("Service") => service = name,
            [method, action, ..] if line.starts_with("  ") => {
                calls.push((
                    format!("/emc2.kms.v1.{service}/{method}"),
                    action.to_owned(),
                ));
            }
            _ => {}
        }
    }
    calls
}

/// Asked for nothing in particular by somebody who may nothing, and then with what is no message of
/// the call, each call leaves a record each time: of the action that the table says.
#[test]
fn each_call_is_recorded_as_the_action_of_the_table() {
    let mut kms = Deployment::emc2().start();
    kms.issue("person/nobody");
    let nobody = Gateway::connect(&mut kms, "nobody");
    let calls = table();
    assert!(calls.len() > 30, "the table is not read: {calls:?}");
    let mut unread = 0;
    for (path, _) in &calls {
        let path = PathAndQuery::try_from(path.as_str()).unwrap();
        // An empty message is the same for every call; a first field of this one byte is neither
        // text nor a message, nor a number.
        for first_field in [vec![], vec![0xff]] {
            let refused = ask(&nobody, &path, first_field).expect_err(path.as_str());
            assert_ne!(refused.code(), Code::Unimplemented, "{path}");
            if refused.message().contains(".proto") {
                assert_eq!(reason(&refused), "INVALID", "{path}: {refused:?}");
                unread += 1;
            }
        }
    }
    assert!(unread > calls.len() / 2, "{unread} messages were garbled");
    let records = Gateway::connect(&mut kms, "ada")
        .records(kms_proto::v1::Log::Uses)
        .unwrap();
    let recorded = records.iter().filter(|r| crate::is_by(r, "nobody"));
    let recorded: Vec<&str> = recorded
        .map(|r| r["api"]["operation"].as_str().unwrap())
        .collect();
    let wanted = calls.iter().map(|(_, action)| action.as_str());
    let wanted: Vec<&str> = wanted.flat_map(|action| [action, action]).collect();
    assert_eq!(recorded, wanted, "{calls:#?}");
}

/// Calls with a message of one field; of the answers, the first is read.
fn ask(gateway: &Gateway, path: &PathAndQuery, first_field: Vec<u8>) -> Result<(), Status> {
    gateway.call(async |channel| {
        let mut grpc = Grpc::new(channel);
        grpc.ready().await.unwrap();
        let codec = ProstCodec::<Vec<u8>, ()>::default();
        let request = Request::new(first_field);
        // What is refused is told at once, or where the first answer would be.
        let answers = grpc.server_streaming(request, path.clone(), codec).await?;
        answers.into_inner().message().await.map(drop)
    })
}

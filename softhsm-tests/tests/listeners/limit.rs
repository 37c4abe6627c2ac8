//! Floods and silence: what one source does is not felt by the others.

use super::{address, ended, first, held::Held, knock, refused, sample, until_refused};
use rustls::pki_types::ServerName;
use softhsm_tests::{
    Deployment,
    channel::client_tls,
    wait::{PATIENCE, until},
};
use std::io::{self, Read, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use tokio::net::TcpSocket;

/// A connection from another address than everybody else's.
fn from_elsewhere(door: &str) -> io::Result<TcpStream> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let stream = runtime.block_on(async {
        let socket = TcpSocket::new_v4()?;
        socket.bind("127.0.0.2:0".parse().unwrap())?;
        socket.connect(door.parse().unwrap()).await?.into_std()
    })?;
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Waits until the other end has closed.
#[track_caller]
fn is_closed(mut stream: impl Read) {
    let mut rest = Vec::new();
    let ended = stream.read_to_end(&mut rest);
    if let Err(error) = ended {
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "{error}");
    }
}

#[test]
fn a_flood_from_one_source_leaves_the_door_open_for_the_others() {
    let mut kms = Deployment::emc2()
        .configure(|file| {
            first(file).limits = [
                ("handshakes", 3),
                ("handshakes_per_source", 2),
                ("connections", 40),
                ("connections_per_source", 20),
            ]
            .map(|(name, limit)| (name.to_owned(), limit))
            .into();
        })
        .start();
    let door = address(&mut kms, 0);
    let ada = kms.identity("ada").clone();
    let mut before = Held::open(&door, &ada).unwrap();
    // As many as one source may have: two hold a handshake, the others wait for one.
    let flood: Vec<TcpStream> = (0..20).map(|_| from_elsewhere(&door).unwrap()).collect();
    is_closed(from_elsewhere(&door).unwrap());
    until_refused(&mut kms, "too_many", 1.0);
    for _ in 0..5 {
        knock(&door, &ada).unwrap();
    }
    assert!(before.is_open());
    // All that while the flood stood in front of the door.
    assert_eq!(refused(&mut kms, "too_slow"), 0.0);
    // Nobody stays who says nothing, and then there is room again.
    for silent in flood {
        is_closed(silent);
    }
    until_refused(&mut kms, "too_slow", 20.0);
    let mut stranger = from_elsewhere(&door).unwrap();
    stranger.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    is_closed(stranger);
    until_refused(&mut kms, "not_tls", 1.0);
    // A flood of refusals is told in one line beyond the first twenty.
    let log = kms.log();
    let told = log.matches("a TLS handshake was refused").count();
    assert!((1..=22).contains(&told), "{told}: {log}");
}

#[test]
fn a_silent_connection_is_closed() {
    let mut kms = Deployment::emc2()
        .configure(|file| first(file).limits = [("idle_seconds".to_owned(), 2)].into())
        .start();
    let door = address(&mut kms, 0);
    let config = Arc::new(client_tls(kms.identity("ada")).unwrap());
    let name = ServerName::try_from("localhost").unwrap();
    let session = rustls::ClientConnection::new(config, name).unwrap();
    let stream = TcpStream::connect(&door).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut tls = rustls::StreamOwned::new(session, stream);
    tls.flush().unwrap();
    until("the connection to be counted", || {
        (sample(&mut kms, 0, "kms_tls_connections", "") >= Some(1.0)).then_some(())
    });
    is_closed(tls);
    assert!(ended(&mut kms, "idle") >= 1.0);
    until("its place to be free", || {
        (sample(&mut kms, 0, "kms_tls_connections", "") == Some(0.0)).then_some(())
    });
}

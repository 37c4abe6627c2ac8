//! Whoever owns the disk: an edited, rolled-back or lost store, a cut or changed log. The server
//! names what is wrong and serves nothing; with what was there before it serves again. And `init`,
//! which is the only beginning there is, survives being killed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::Stdio,
};

use softhsm_tests::{
    Deployment, full,
    gateway::{Gateway, reason},
    guard::Guarded,
    wait::until,
};

const SUSPENDED: &str = "spaces/ingest-lyon/keys/backup/versions/1";

#[test]
fn what_was_tampered_with_is_named_and_not_served() {
    let mut kms = Deployment::emc2().start();
    kms.furnish();
    let operator = kms.cli("olivia");
    assert!(kms.terminate().success());
    let earlier = Copy::of(&kms, "earlier");
    kms.restart();
    let suspend = ["version", "suspend", "ingest-lyon/backup/1"];
    let why = ["--reason", "suspected"];
    operator.run(suspend.iter().chain(&why)).succeeds();
    let create = ["key", "create", "ingest-lyon/later"];
    let class = ["--class", "data-at-rest"];
    operator.run(create.iter().chain(&class)).succeeds();
    // Only one process at a time has a deployment open.
    let second = kms.doctor(&[]);
    assert_eq!(second.code(), Some(1), "{second}");
    second.saying("another process has");
    assert!(kms.terminate().success());

    let right = Copy::of(&kms, "right");
    let mut refuses = |what: &str, tamper: &dyn Fn(&Path), says: &[&str]| {
        tamper(kms.data());
        let ended = match kms.try_restart() {
            Err(ended) => ended,
            Ok(()) => panic!("it serves {what}"),
        };
        let last = ended.log.trim_end().lines().last().unwrap_or_default();
        assert!(last.starts_with("kms-server: "), "{what}: {ended}");
        for word in says {
            assert!(last.contains(word), "{what}: {word:?} in {ended}");
        }
        right.put_back(&kms, "");
    };
    store(&mut refuses);
    let put_earlier = |part: &'static str| {
        let from = earlier.at.join(part);
        move |data: &Path| replace(&from, &data.join(part))
    };
    refuses(
        "a store of yesterday",
        &put_earlier("store"),
        &["keys/later is missing", "rolled back"],
    );
    refuses(
        "a log of yesterday",
        &put_earlier("changes"),
        &["keys/later is in no record"],
    );
    log(&mut refuses);

    // What was there before is served, and nothing is forgotten.
    kms.restart();
    let etl = Gateway::connect(&mut kms, "lyon-etl");
    let held = etl.encrypt("spaces/ingest-lyon/keys/backup", b"x", &[]);
    assert_eq!(reason(&held.unwrap_err()), "KEY_STATE");
    etl.encrypt("spaces/ingest-lyon/keys/later", b"x", &[])
        .unwrap();
    kms.cli("ada").run(["audit", "verify"]).succeeds();
}

type Refuses<'a> = dyn FnMut(&str, &dyn Fn(&Path), &[&str]) + 'a;

/// Edits of the store.
fn store(refuses: &mut Refuses<'_>) {
    let edit = |key: &'static str, change: fn(Vec<u8>) -> Vec<u8>| {
        move |data: &Path| {
            with_sled(data, |db| {
                let piece = piece(key);
                let value = db.get(&piece).unwrap().unwrap().to_vec();
                let changed = change(value.clone());
                assert_ne!(changed, value, "{key}");
                db.insert(piece, changed).unwrap();
            });
        }
    };
    refuses(
        "a suspended version made active by hand",
        &edit(SUSPENDED, |value| {
            replaced(&value, "\"suspended\"", "\"active\"")
        }),
        &[SUSPENDED, "not what the log says"],
    );
    refuses(
        "another revision of the same value",
        &edit("bindings/person/ada", |mut value| {
            value[7] ^= 1;
            value
        }),
        &["bindings/person/ada", "not what the log says"],
    );
    refuses(
        "a deleted binding",
        &|data| {
            with_sled(data, |db| {
                let removed = db.remove(piece("bindings/person/carl")).unwrap();
                assert!(removed.is_some());
            });
        },
        &["bindings/person/carl is missing"],
    );
    refuses(
        "a binding that nobody made",
        &|data| {
            with_sled(data, |db| {
                let hugo = db.get(piece("bindings/person/hugo")).unwrap().unwrap();
                let mallory = replaced(&hugo, "person/hugo", "person/mallory");
                db.insert(piece("bindings/person/mallory"), mallory)
                    .unwrap();
            });
        },
        &["bindings/person/mallory is in no record"],
    );
    refuses(
        "a lost store",
        &|data| fs::remove_dir_all(data.join("store")).unwrap(),
        &["the store is gone", "store-lost"],
    );
    refuses(
        "an empty store",
        &|data| {
            fs::remove_dir_all(data.join("store")).unwrap();
            kms_server::store::SledStore::create(&data.join("store")).unwrap();
        },
        &["is missing", "rolled back or lost"],
    );
}

/// Edits of the changes log, and lost logs.
fn log(refuses: &mut Refuses<'_>) {
    refuses(
        "a log that was cut",
        &|data| {
            let segment = segment(data);
            let length = fs::metadata(&segment).unwrap().len();
            File::options()
                .write(true)
                .open(segment)
                .unwrap()
                .set_len(length - 10)
                .unwrap();
        },
        &["entries were acknowledged", "records are lost"],
    );
    refuses(
        "a log that was cut, with its mark",
        &|data| {
            rewrite(data, |mut entries| {
                entries.drain(..entries.len() - 2).collect()
            })
        },
        &["keys/later is in no record", "the log was cut"],
    );
    refuses(
        "a log without one of its entries",
        &|data| {
            rewrite(data, |mut entries| {
                entries.remove(10);
                entries
            });
        },
        &["records are lost"],
    );
    refuses(
        "a recorded value with a byte flipped",
        &|data| {
            rewrite(data, |mut entries| {
                let intention = entries
                    .iter_mut()
                    .find(|entry| find(entry, b"\"Backups\"").is_some())
                    .unwrap();
                *intention = replaced(intention, "\"Backups\"", "\"Backupz\"");
                entries
            });
        },
        &["changes log, entry", "digest"],
    );
    refuses(
        "an entry that is no record",
        &|data| {
            rewrite(data, |mut entries| {
                let at = find(&entries[5], b"\"class_uid\"").unwrap();
                entries[5][at] ^= 2;
                entries
            });
        },
        &["record"],
    );
    refuses(
        "a log without its mark",
        &|data| fs::remove_file(data.join("changes/mark")).unwrap(),
        &["changes", "lost log is restored"],
    );
    for lost in ["changes", "uses"] {
        refuses(
            "a lost log",
            &|data| fs::remove_dir_all(data.join(lost)).unwrap(),
            &[lost, "lost log is restored"],
        );
    }
}

/// `init` is killed again and again at other moments; run to its end it makes one whole
/// deployment, once.
#[test]
fn init_that_was_killed_is_run_again() {
    let mut kms = Deployment::emc2().prepare();
    // How much the log holds when it is killed: at once, then on its way through.
    let plain = [0, 10_000, 30_000];
    let moments = if full() {
        (0..60).map(|n| n * 1_000).collect()
    } else {
        plain.to_vec()
    };
    for moment in moments {
        let mut init = kms.init_command();
        init.stdout(Stdio::null()).stderr(Stdio::null());
        let mut init = Guarded::spawn(&mut init, None).unwrap();
        let written = || size(&kms.data().join("changes"));
        let ended = until("the moment to kill init", || {
            let ended = init.child().try_wait().unwrap();
            (ended.is_some() || written() >= moment).then_some(ended)
        });
        drop(init);
        assert!(
            ended.is_none(),
            "init ended with {ended:?} before its log had {moment} bytes"
        );
        let refused = kms.try_restart().expect_err("half a deployment is served");
        assert!(refused.log.contains("kms-server init"), "{refused}");
    }
    kms.init().succeeds();
    let again = kms.init();
    assert_eq!(again.code(), Some(1), "{again}");
    again.saying("there is a deployment here already");
    kms.restart();
    kms.furnish();
    let etl = Gateway::connect(&mut kms, "lyon-etl");
    etl.encrypt("spaces/ingest-lyon/keys/object", b"x", &[])
        .unwrap();
    kms.cli("ada").run(["audit", "verify"]).succeeds();
    drop(etl);
    assert!(kms.terminate().success());
    kms.doctor(&[]).succeeds();
}

/// A copy of a stopped deployment's data.
struct Copy {
    at: PathBuf,
}

impl Copy {
    fn of(kms: &Deployment, name: &str) -> Self {
        let at = kms.directory().join(name);
        replace(kms.data(), &at);
        Self { at }
    }

    fn put_back(&self, kms: &Deployment, part: &str) {
        replace(&self.at.join(part), &kms.data().join(part));
    }
}

/// Puts a copy of the directory `from` in the place of `to`.
fn replace(from: &Path, to: &Path) {
    if to.exists() {
        fs::remove_dir_all(to).unwrap();
    }
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            replace(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Opens the store's sled as somebody who has read our source would.
fn with_sled(data: &Path, act: impl FnOnce(&sled::Db)) {
    let db = sled::open(data.join("store")).unwrap();
    act(&db);
    db.flush().unwrap();
}

/// Where the first piece of a value lies in sled: 8 bytes of revision, the number of pieces, then
/// the value.
fn piece(key: &str) -> Vec<u8> {
    [b"e/", key.as_bytes(), b"\0\0"].concat()
}

/// The only segment of the changes log.
fn segment(data: &Path) -> PathBuf {
    let files = fs::read_dir(data.join("changes")).unwrap();
    let mut segments = files
        .map(|file| file.unwrap().path())
        .filter(|path| !path.ends_with("mark"));
    let segment = segments.next().unwrap();
    assert_eq!(segments.next(), None);
    segment
}

/// Writes the changes log anew, and its mark, as somebody who owns the disk can.
fn rewrite(data: &Path, change: impl FnOnce(Vec<Vec<u8>>) -> Vec<Vec<u8>>) {
    let segment = segment(data);
    let bytes = fs::read(&segment).unwrap();
    let (mut rest, mut entries) = (bytes.as_slice(), Vec::new());
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let (entry, after) = after.split_at(usize::from(u16::from_be_bytes(*length)));
        entries.push(entry.to_vec());
        rest = after;
    }
    let entries = change(entries);
    let framed = entries.iter().flat_map(|entry| {
        let length = u16::try_from(entry.len()).unwrap().to_be_bytes();
        length.into_iter().chain(entry.iter().copied())
    });
    fs::write(&segment, framed.collect::<Vec<u8>>()).unwrap();
    let count = u64::try_from(entries.len()).unwrap();
    File::options()
        .write(true)
        .open(data.join("changes/mark"))
        .unwrap()
        .write_all_at(&count.to_be_bytes(), 0)
        .unwrap();
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

fn replaced(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    let at = find(bytes, from.as_bytes()).unwrap_or_else(|| panic!("there is no {from}"));
    [&bytes[..at], to.as_bytes(), &bytes[at + from.len()..]].concat()
}

/// The bytes of all files below a directory; 0 when there is none.
fn size(directory: &Path) -> u64 {
    let Ok(files) = fs::read_dir(directory) else {
        return 0;
    };
    files
        .filter_map(|file| Some(file.ok()?.metadata().ok()?.len()))
        .sum()
}

//! The real process on a wall clock that somebody has set: its `clock_gettime` is another one.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use crate::support::{Server, text};

/// A wall clock that differs from the machine's by so many seconds.
struct WallClock {
    offset: PathBuf,
    preloaded: PathBuf,
}

impl WallClock {
    /// The compiler is there: SQLite needs one, too.
    fn new(folder: &Path) -> Self {
        let (offset, preloaded) = (folder.join("offset"), folder.join("set_clock.so"));
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cli/clock/set_clock.c");
        let compiler = env::var("CC").unwrap_or_else(|_| "cc".into());
        let built = Command::new(compiler)
            .args(["-shared", "-fPIC", "-o", text(&preloaded), source])
            .status();
        assert!(built.unwrap().success());
        let clock = Self { offset, preloaded };
        clock.set(0);
        clock
    }

    fn set(&self, offset_s: i64) {
        let next = self.offset.with_extension("next");
        fs::write(&next, offset_s.to_string()).unwrap();
        fs::rename(next, &self.offset).unwrap();
    }

    fn server(&self, more: &[&str]) -> Server {
        self.server_with(&[], more)
    }

    fn server_with(&self, environment: &[(&str, &str)], more: &[&str]) -> Server {
        let clock =
            [("LD_PRELOAD", text(&self.preloaded)), ("CLOCK_OFFSET_FILE", text(&self.offset))];
        let environment = [&clock, environment].concat();
        Server::start_in(&environment, tempfile::tempdir().unwrap(), more)
    }
}

/// The numbers of what waits for a user.
fn waiting(server: &Server, user: &str) -> Vec<u64> {
    let tail = server.tail(user, &["--no-ack"]);
    let mut notes = Vec::new();
    loop {
        let frame: Value = tail.frame();
        match frame["type"].as_str() {
            Some("pending_check_complete") => return notes,
            Some("note") => notes.push(frame["n"].as_u64().unwrap()),
            _ => {}
        }
    }
}

#[test]
fn forty_days_forward_for_a_moment_take_nothing_from_anybody() {
    // A dead battery, and the network's time late: everything of everybody was trimmed.
    let folder = tempfile::tempdir().unwrap();
    let clock = WallClock::new(folder.path());
    let server = clock.server(&["--retention-days", "30", "--retention-messages", "1"]);
    server.publish("ada", r#"{"n":1}"#);
    clock.set(40 * 24 * 60 * 60);
    // Somebody has too many: the store forgets something after each of these, before the next.
    for n in 1..=3 {
        server.publish("bob", &format!(r#"{{"n":{n}}}"#));
    }
    clock.set(0);
    assert_eq!(waiting(&server, "ada"), [1]);
    assert_eq!(waiting(&server, "bob").last(), Some(&3));
}

#[test]
fn a_clock_before_1970_stops_nobody() {
    // Every request was reset, and the store's writer died of it.
    let folder = tempfile::tempdir().unwrap();
    let clock = WallClock::new(folder.path());
    // One worker: hyper keeps a date for each thread, and one that begins on such a clock panics. Linux has
    // none, so whoever has a system that does loses a request for each thread.
    let server = clock.server_with(&[("TOKIO_WORKER_THREADS", "1")], &[]);
    server.publish("ada", r#"{"n":1}"#);
    clock.set(-4_000_000_000);
    server.publish("ada", r#"{"n":2}"#);
    clock.set(0);
    server.publish("ada", r#"{"n":3}"#);
    assert_eq!(waiting(&server, "ada"), [1, 2, 3]);
}

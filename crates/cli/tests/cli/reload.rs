//! SIGHUP: settings are read anew while a server serves, all of what can change or nothing.

mod limits;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    listeners::Own,
    support::{PATIENCE, Process, Server, run, text},
    tokens::{Issuer, claims, takes},
};

const FIRST: &str = "first-first-first-first-first-first-1";
const SECOND: &str = "second-second-second-second-second-2";

/// A server whose settings, secrets and certificate are in files.
struct Reloaded {
    server: Server,
    own: Own,
    folder: TempDir,
    hung_up: usize,
}

impl Reloaded {
    fn start() -> Self {
        let (folder, own) = (tempfile::tempdir().unwrap(), Own::new());
        let file = |name: &str| folder.path().join(name);
        fs::write(file("jwt"), FIRST).unwrap();
        fs::write(file("api"), FIRST).unwrap();
        let first = settings(folder.path(), "");
        let options = own.options().map(str::to_owned);
        Self::start_in(folder, own, &first, &options.each_ref().map(String::as_str))
    }

    /// Without TLS, and with the secrets of its data folder.
    fn start_plain(first: &str) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), Own::new(), first, &[])
    }

    fn start_in(folder: TempDir, own: Own, first: &str, options: &[&str]) -> Self {
        let (config, log) = (folder.path().join("tetherline.toml"), folder.path().join("log"));
        fs::write(&config, first).unwrap();
        let more = [&["--config", text(&config)][..], options].concat();
        let server = Server::start_logging_on(tempfile::tempdir().unwrap(), &log, &more);
        Self { server, own, folder, hung_up: 0 }
    }

    /// Has it read these settings, all of which count at once.
    fn goes_by(&mut self, settings: &str) {
        let said = self.is_told(settings);
        assert!(said.contains("were read anew, and hold") && !said.contains("restart"), "{said}");
    }

    /// Has it read these settings, and answers what it says of that.
    fn is_told(&mut self, settings: &str) -> String {
        fs::write(self.file("tetherline.toml"), settings).unwrap();
        self.reload()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Has it read everything anew, and answers what it says of that.
    fn reload(&mut self) -> String {
        self.server.hang_up();
        self.hung_up += 1;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let log = fs::read_to_string(self.file("log")).unwrap();
            let mut lines = log.split_inclusive('\n').filter(|line| line.contains("SIGHUP: "));
            if let Some(line) = lines.nth(self.hung_up - 1).filter(|line| line.ends_with('\n')) {
                return line.to_owned();
            }
            assert!(Instant::now() < deadline, "it says nothing");
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn url(&self) -> String {
        self.server.url.replace("127.0.0.1", "localhost")
    }

    fn publish(&self, key: &str, certificate: &Path) -> Output {
        let file = self.file("shown");
        fs::write(&file, key).unwrap();
        let (url, api) = (self.url(), ["--api-key-file", text(&file)]);
        let to = ["--url", &url, "--cacert", text(certificate), "--user", "ada"];
        run(&[&["publish", "--type", "note"][..], &to, &api, &[r#"{"n":1}"#]].concat())
    }

    fn token(&self, secret: &str) -> String {
        let file = self.file("secret");
        fs::write(&file, secret).unwrap();
        let output = run(&["token", "--jwt-secret-file", text(&file), "--user", "ada"]);
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn tail(&self, secret: &str, device: &str) -> Process {
        let (url, token) = (self.url(), self.token(secret));
        let to = ["--url", &url, "--cacert", text(&self.own.certificate)];
        Process::start(&[&["tail", "--token", &token, "--device", device][..], &to].concat())
    }
}

fn settings(folder: &Path, more: &str) -> String {
    let folder = folder.display();
    format!("jwt-secret-file = ['{folder}/jwt']\napi-key-file = '{folder}/api'\n{more}")
}

fn is_refused(output: &Output, why: &str) -> bool {
    !output.status.success() && String::from_utf8_lossy(&output.stderr).contains(why)
}

#[test]
fn keys_and_the_certificate_change_for_whoever_comes_and_who_is_there_stays() {
    let mut it = Reloaded::start();
    let before = it.file("before.pem");
    fs::copy(&it.own.certificate, &before).unwrap();
    assert!(it.publish(FIRST, &before).status.success());
    let tail = it.tail(FIRST, "old");
    assert!(tail.line().contains(r#""n":1"#));

    fs::write(it.file("jwt"), SECOND).unwrap();
    fs::write(it.file("api"), SECOND).unwrap();
    it.own.renew();
    let said = it.reload();
    assert!(said.contains("were read anew") && !said.contains("restart"), "{said}");

    assert!(
        is_refused(&it.publish(SECOND, &before), "certificate"),
        "the old certificate is shown"
    );
    let now = it.own.certificate.clone();
    assert!(is_refused(&it.publish(FIRST, &now), "The API key is wrong"), "the old key counts");
    let published = it.publish(SECOND, &now);
    assert!(published.status.success(), "{}", String::from_utf8_lossy(&published.stderr));
    while !tail.line().contains(r#""n":1"#) {}
    let new = it.tail(SECOND, "new");
    while !new.line().contains("pending_check_complete") {}
    assert!(!it.tail(FIRST, "late").ended().success(), "a token of the old secret counts");
}

#[test]
fn a_reload_that_fails_half_way_changes_nothing_and_says_where() {
    let mut it = Reloaded::start();
    let other = Own::new();
    // The keys are good, and the certificate is another key's.
    fs::write(it.file("api"), SECOND).unwrap();
    let good = fs::read(&it.own.key).unwrap();
    fs::copy(&other.key, &it.own.key).unwrap();
    let said = it.reload();
    assert!(said.contains("what was before holds on"), "{said}");
    assert!(said.contains("--tls-key") && said.contains("does not belong"), "{said}");
    assert!(it.publish(FIRST, &it.own.certificate).status.success());
    fs::write(&it.own.key, good).unwrap();

    let config = it.file("tetherline.toml");
    for (wrong, why) in [
        ("alow-origin = 1", "is it `allow-origin`?"),
        ("allow-origin = \"nonsense\"", "tetherline.toml:3"),
        ("message-bytes-max = ", "is not TOML"),
        ("idle-timeout = 0", "idle-timeout"),
    ] {
        fs::write(&config, settings(it.folder.path(), wrong)).unwrap();
        let said = it.reload();
        assert!(said.contains("what was before holds on") && said.contains(why), "{said}");
    }
    assert!(it.publish(FIRST, &it.own.certificate).status.success());

    fs::write(&config, settings(it.folder.path(), "")).unwrap();
    assert!(it.reload().contains("were read anew"));
    assert!(it.publish(SECOND, &it.own.certificate).status.success());
}

#[tokio::test]
async fn keys_with_names_change_places_and_for_a_while_both_count() {
    let (old, new) = (Issuer::new("2026"), Issuer::new("2027"));
    let folder = tempfile::tempdir().unwrap();
    let set = folder.path().join("jwks.json");
    let publish = |issuers: &[&Issuer]| {
        let sets = issuers.iter().map(|issuer| serde_json::from_str::<Value>(&issuer.jwks()));
        let keys: Vec<Value> = sets.map(|set| set.unwrap()["keys"][0].clone()).collect();
        fs::write(&set, json!({ "keys": keys }).to_string()).unwrap();
    };
    publish(&[&old]);
    let settings = format!("jwt-jwks-file = '{}'", set.display());
    let mut it = Reloaded::start_plain(&settings);
    let tokens = [old.token(&claims()), new.token(&claims())];
    for (issuers, counts) in
        [(&[&old][..], [true, false]), (&[&new, &old], [true, true]), (&[&new], [false, true])]
    {
        publish(issuers);
        it.goes_by(&settings);
        for (token, counts) in tokens.iter().zip(counts) {
            assert_eq!(takes(&it.server, token).await, counts);
        }
    }
}

#[test]
fn a_rate_that_is_read_anew_holds_for_what_comes_next() {
    let mut it = Reloaded::start();
    let certificate = it.own.certificate.clone();
    assert!(it.publish(FIRST, &certificate).status.success());
    let config = it.file("tetherline.toml");
    fs::write(&config, settings(it.folder.path(), "publishes-per-key = '1/h'")).unwrap();
    let said = it.reload();
    assert!(!said.contains("restart"), "{said}");
    assert!(it.publish(FIRST, &certificate).status.success());
    assert!(is_refused(&it.publish(FIRST, &certificate), "More is published"), "it is no rate");
}

#[test]
fn what_counts_only_after_a_restart_is_named() {
    let mut it = Reloaded::start();
    let more =
        "listen-mode = \"600\"\npath-prefix = \"/x\"\nretention-days = 3\nlog-level = \"info\"\n";
    fs::write(it.file("tetherline.toml"), settings(it.folder.path(), more)).unwrap();
    let said = it.reload();
    assert!(said.contains("needs_a_restart=\"listen-mode, path-prefix\""), "{said}");
    assert!(it.publish(FIRST, &it.own.certificate).status.success());
    let lines = |level: &str| {
        let log = fs::read_to_string(it.file("log")).unwrap();
        log.lines().filter(|line| line.contains(level)).count()
    };
    // A request says much at this level, which is not shown any more.
    let before = lines("TRACE") + lines("DEBUG");
    assert!(it.publish(FIRST, &it.own.certificate).status.success());
    assert_eq!(lines("TRACE") + lines("DEBUG"), before);
}

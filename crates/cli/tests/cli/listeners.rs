//! Where a server listens: several addresses, IPv6, Unix sockets, TLS, below a path.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::{
        fs::PermissionsExt as _,
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    time::Instant,
};

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use tempfile::TempDir;

use crate::support::{PATIENCE, Process, Server, Watched, complaint, run, text};

/// A certificate for `localhost` and its key, in files.
pub(crate) struct Own {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    folder: TempDir,
}

impl Own {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let in_it = |name| folder.path().join(name);
        let own = Self { certificate: in_it("cert.pem"), key: in_it("key.pem"), folder };
        own.renew();
        own
    }

    pub(crate) fn renew(&self) {
        let (certificate, key) = made(&CertificateParams::new(["localhost".to_owned()]).unwrap());
        fs::write(&self.certificate, certificate).unwrap();
        fs::write(&self.key, key).unwrap();
        fs::set_permissions(&self.key, fs::Permissions::from_mode(0o600)).unwrap();
    }

    pub(crate) fn options(&self) -> [&str; 4] {
        ["--tls-cert", text(&self.certificate), "--tls-key", text(&self.key)]
    }

    fn with(&self, name: &str, content: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }
}

fn made(params: &CertificateParams) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

fn answer(mut stream: impl std::io::Read + std::io::Write, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn serve(data: &Path, more: &[&str]) -> (Process, String) {
    let process = Process::start(&[&["serve", "--data", text(data)], more].concat());
    let line = process.line();
    (process, line.strip_prefix("listening on ").unwrap().to_owned())
}

#[test]
fn tls_is_spoken_with_the_certificate_of_the_options_and_long_messages_come_through_whole() {
    let own = Own::new();
    let server = Server::start_with(&own.options());
    let url = server.url.replace("127.0.0.1", "localhost");
    assert!(url.starts_with("https://"), "{url}");
    let (key, token) = (server.file("api.key"), server.token("ada"));
    let to = ["--url", &url, "--cacert", text(&own.certificate)];
    let tail = Process::start(&[&["tail", "--token", &token][..], &to].concat());
    let long = "x".repeat(60_000);
    for n in 0..20 {
        let note = format!(r#"{{"n":{n},"text":"{long}"}}"#);
        let publish = ["publish", "--type", "note", "--user", "ada", "--api-key-file", text(&key)];
        let published = run(&[&publish[..], &to, &[&note]].concat());
        assert!(published.status.success(), "{}", String::from_utf8_lossy(&published.stderr));
    }
    let mut notes = 0;
    while notes < 20 {
        let line = tail.line();
        if line.contains(&format!(r#""n":{notes},"#)) && line.contains(&long) {
            notes += 1;
        }
    }
}

#[test]
fn who_begins_a_tls_handshake_and_never_ends_it_is_cut() {
    let own = Own::new();
    let server = Server::start_with(&own.options());
    let mut stream = TcpStream::connect(server.url.trim_start_matches("https://")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let began = Instant::now();
    // A record of a handshake that says it is longer than what comes of it: half a ClientHello.
    stream.write_all(&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03]).unwrap();
    let mut rest = Vec::new();
    // Closed or reset, but not left open.
    let _ = stream.read_to_end(&mut rest);
    assert!(began.elapsed() < PATIENCE, "it was kept");
    // Who speaks no TLS at all is answered nothing of ours.
    let address = server.url.trim_start_matches("https://");
    let mut plain = TcpStream::connect(address).unwrap();
    plain.write_all(b"GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
    let mut said = Vec::new();
    let _ = plain.read_to_end(&mut said);
    assert!(!said.starts_with(b"HTTP"), "{said:?}");
}

#[test]
fn certificates_that_nobody_could_use_are_refused_in_a_sentence() {
    let (own, other) = (Own::new(), Own::new());
    let folder = tempfile::tempdir().unwrap();
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    (params.not_before, params.not_after) = (date_time_ymd(2019, 1, 1), date_time_ymd(2020, 1, 1));
    let (expired, its_key) = made(&params);
    let (expired, its_key) = (own.with("old.pem", &expired), own.with("old.key", &its_key));
    let empty = own.with("empty.pem", "");
    let words = own.with("words.pem", "-----BEGIN CERTIFICATE-----\nnonsense\n");
    for (certificate, key, why) in [
        (&own.certificate, &other.key, "does not belong to the certificate"),
        (&expired, &its_key, "has expired"),
        (&empty, &own.key, "no certificate in PEM form"),
        (&words, &own.key, "cannot be read"),
        (&own.certificate, &empty, "no private key in PEM form"),
        (&own.certificate, &own.certificate, "no private key in PEM form"),
        (&folder.path().join("none"), &own.key, "cannot read --tls-cert"),
    ] {
        let data = folder.path().join("data");
        let tls = ["--tls-cert", text(certificate), "--tls-key", text(key)];
        let serve = ["serve", "--listen", "127.0.0.1:0", "--data", text(&data)];
        let said = complaint(&[&serve[..], &tls].concat());
        assert!(said.contains(why) && said.contains("--tls-"), "{said}");
        let said = run(&[&["config", "--data", "d"][..], &tls].concat());
        assert_eq!(said.status.code(), Some(1), "{why}");
    }
    let said = complaint(&["serve", "--data", "d", "--tls-cert", text(&own.certificate)]);
    assert!(said.contains("--tls-key"), "{said}");
}

#[test]
fn several_addresses_are_served_by_one_server() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("http.sock");
    let listen = format!("127.0.0.1:0,[::1]:0,unix:{}", socket.display());
    let data = folder.path().join("data");
    let (process, url) = serve(&data, &["--listen", &listen]);
    let first = TcpStream::connect(url.trim_start_matches("http://")).unwrap();
    assert!(answer(first, "/healthz").starts_with("HTTP/1.1 200 "));
    assert!(answer(UnixStream::connect(&socket).unwrap(), "/readyz").starts_with("HTTP/1.1 200 "));
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o660);
    assert!(process.terminate());
}

#[test]
fn a_socket_that_was_left_behind_is_taken_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("http.sock");
    let listen = format!("unix:{}", socket.display());
    let data = folder.path().join("data");
    drop(UnixListener::bind(&socket).unwrap());
    let more = ["--listen", &listen, "--listen-mode", "600"];
    let (process, name) = serve(&data, &more);
    assert_eq!(name, listen);
    assert!(answer(UnixStream::connect(&socket).unwrap(), "/healthz").starts_with("HTTP/1.1 200 "));
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);

    // Somebody listens there.
    let other = folder.path().join("other");
    let said = complaint(&["serve", "--data", text(&other), "--listen", &listen]);
    assert!(said.contains("is in use"), "{said}");
    assert!(answer(UnixStream::connect(&socket).unwrap(), "/healthz").starts_with("HTTP/1.1 200 "));
    process.kill();

    let file = folder.path().join("file");
    fs::write(&file, "mine").unwrap();
    let listen = format!("unix:{}", file.display());
    let said = complaint(&["serve", "--data", text(&other), "--listen", &listen]);
    assert!(said.contains("is in use"), "{said}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
}

#[test]
fn a_sockets_file_goes_with_whoever_listens_there_and_with_nobody_else() {
    // It stayed for ever, and whoever connected was refused instead of told that there is nobody.
    let folder = tempfile::tempdir().unwrap();
    let in_it = |name: &str| folder.path().join(name);
    let (socket, admin, data) = (in_it("http.sock"), in_it("admin.sock"), in_it("data"));
    let [listen, admin_listen] = [&socket, &admin].map(|path| format!("unix:{}", path.display()));
    let more = ["--listen", &listen, "--admin-listen", &admin_listen];
    let (process, _) = serve(&data, &more);
    assert!(socket.exists() && admin.exists());
    assert!(process.terminate());
    assert!(!socket.exists() && !admin.exists());

    let (process, _) = serve(&data, &more);
    fs::remove_file(&socket).unwrap();
    let others = UnixListener::bind(&socket).unwrap();
    assert!(process.terminate());
    assert!(!admin.exists());
    assert!(UnixStream::connect(&socket).is_ok(), "somebody else's was taken away");
    drop(others);

    // A start that comes to nothing leaves nothing behind.
    let listen = format!("unix:{},192.0.2.1:1", admin.display());
    complaint(&["serve", "--data", text(&data), "--listen", &listen]);
    assert!(!admin.exists());
}

/// What `/readyz` says to whoever trusts this certificate.
async fn ready(url: &str, certificate: &Path) -> Option<u16> {
    let pem = fs::read(certificate).unwrap();
    let trusted = reqwest::Certificate::from_pem(&pem).unwrap();
    let http = reqwest::Client::builder().no_proxy().tls_certs_only([trusted]);
    let asked = http.timeout(PATIENCE).build().unwrap().get(format!("{url}/readyz"));
    asked.send().await.ok().map(|answer| answer.status().as_u16())
}

#[tokio::test]
async fn the_admin_listener_speaks_tls_with_a_certificate_of_its_own_that_is_read_anew() {
    // Keys of scope `admin` went to it in the clear.
    let (own, other) = (Own::new(), Own::new());
    let tls = ["--admin-tls-cert", text(&own.certificate), "--admin-tls-key", text(&own.key)];
    let watched = Watched::start(&tls);
    assert!(watched.server.url.starts_with("http://"));
    assert!(watched.admin.starts_with("https://"), "{}", watched.admin);
    let url = watched.admin.replace("127.0.0.1", "localhost");
    assert_eq!(ready(&url, &own.certificate).await, Some(200));
    assert_eq!(ready(&url, &other.certificate).await, None);

    let says = |line: &str| {
        watched.server.hang_up();
        let deadline = Instant::now() + PATIENCE;
        while !watched.log().contains(line) {
            assert!(Instant::now() < deadline, "{line}: {}", watched.log());
        }
    };
    let (before, key) = (own.with("before.pem", ""), fs::read(&own.key).unwrap());
    fs::copy(&own.certificate, &before).unwrap();
    fs::copy(&other.key, &own.key).unwrap();
    says("SIGHUP: nothing was read anew");
    assert!(watched.log().contains("--admin-tls-key"), "{}", watched.log());
    assert_eq!(ready(&url, &before).await, Some(200));
    fs::write(&own.key, key).unwrap();
    own.renew();
    says("SIGHUP: the settings were read anew");
    assert_eq!(ready(&url, &own.certificate).await, Some(200));
    assert_eq!(ready(&url, &before).await, None);

    let said = complaint(&[&["serve", "--data", "d"][..], &tls].concat());
    assert!(said.contains("--admin-listen"), "{said}");
}

#[test]
fn a_second_address_that_is_in_use_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("[::1]:0").unwrap();
    let address = taken.local_addr().unwrap();
    let listen = format!("127.0.0.1:0,{address}");
    let said = complaint(&["serve", "--data", text(folder.path()), "--listen", &listen]);
    assert!(said.contains(&format!("port {} is in use", address.port())), "{said}");
    assert!(said.contains("--listen [::1]:PORT"), "{said}");
}

#[test]
fn everything_is_below_the_path_prefix_and_nothing_beside_it() {
    let mut server = Server::start_with(&["--path-prefix", "/realtime"]);
    let address = server.url.trim_start_matches("http://").to_owned();
    let status = |path: &str| answer(TcpStream::connect(&address).unwrap(), path);
    assert!(status("/realtime/healthz").starts_with("HTTP/1.1 200 "));
    assert!(status("/healthz").starts_with("HTTP/1.1 404 "));
    // It described the paths as if they began at the root.
    assert!(status("/realtime/v1/openapi.json").contains(r#""servers":[{"url":"/realtime"}]"#));
    server.url.push_str("/realtime");
    server.publish("ada", r#"{"n":1}"#);
    assert_eq!(server.tail("ada", &[]).note(), 1);
}

//! A server behind TLS whose certificate only those trust who are told to.

use std::{fs, path::PathBuf, sync::Arc};

use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, pki_types::PrivateKeyDer},
};

use crate::{
    support::{Process, Server, run, text},
    webhook::{backend, client},
};

/// What stands in front of a server and speaks TLS, and the file with its certificate.
pub(crate) struct Front {
    pub(crate) url: String,
    pub(crate) certificate: PathBuf,
    _folder: TempDir,
}

pub(crate) async fn front(behind: &str) -> Front {
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let certificate = folder.path().join("front.pem");
    fs::write(&certificate, own.cert.pem()).unwrap();
    let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let behind = behind.trim_start_matches("http://").to_owned();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, behind) = (acceptor.clone(), behind.clone());
            tokio::spawn(async move {
                let mut front = acceptor.accept(stream).await?;
                let mut back = TcpStream::connect(behind).await?;
                tokio::io::copy_bidirectional(&mut front, &mut back).await
            });
        }
    });
    Front { url, certificate, _folder: folder }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_told_whom_to_trust_reaches_a_server_with_a_certificate_of_its_own() {
    // There was no way to say so but SSL_CERT_FILE, which `--help` does not name.
    let server = Server::start();
    let front = front(&server.url).await;
    let (key, token) = (server.file("api.key"), server.token("ada"));
    let cacert = ["--cacert", text(&front.certificate)];
    let to = ["--url", &front.url];
    let api = ["--user", "ada", "--api-key-file", text(&key)];
    let publish = [&["publish", "--type", "note"][..], &to, &api, &[r#"{"n":1}"#]].concat();
    let refused = run(&publish);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("certificate"), "{said}");
    let published = run(&[&publish[..], &cacert].concat());
    assert!(published.status.success(), "{}", String::from_utf8_lossy(&published.stderr));

    let tail = Process::start(&[&["tail", "--token", &token][..], &to, &cacert].concat());
    assert!(tail.line().contains(r#""n":1"#));

    let erased = run(&[&["erase", "--yes"][..], &to, &api, &cacert].concat());
    assert!(erased.status.success(), "{}", String::from_utf8_lossy(&erased.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_may_have_a_certificate_of_its_own() {
    let (hook, request) = backend();
    let front = front(hook.trim_end_matches("/tetherline")).await;
    let hook = format!("{}/tetherline", front.url);
    let options = ["--webhook-url", &hook, "--webhook-cacert", text(&front.certificate)];
    let server = Server::start_with(&options);
    client(&server).send(r#"{"type":"ask","text":"Hi"}"#).await.unwrap();
    assert!(request.join().unwrap().1.contains("Hi"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_without_certificates_is_named_before_anything_is_asked() {
    let server = Server::start();
    let (key, token) = (server.file("api.key"), server.token("ada"));
    let url = ["--url", "https://127.0.0.1:1"];
    let api = ["--user", "ada", "--api-key-file", text(&key)];
    for file in ["/nowhere.pem", text(&key)] {
        let cacert = ["--cacert", file];
        for command in [&["tail", "--token", &token][..], &[&["erase", "--yes"][..], &api].concat()]
        {
            let output = run(&[command, &url, &cacert].concat());
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(!output.status.success(), "{command:?}");
            assert!(said.contains("--cacert") && said.contains(file), "{said}");
        }
    }
}

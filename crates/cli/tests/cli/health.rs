//! What a container without a shell asks of itself.

use crate::support::{Server, complaint, run};

#[test]
fn a_server_that_is_ready_is_healthy_and_one_that_is_gone_is_not() {
    let mut server = Server::start();
    for more in [&[][..], &["--live"]] {
        let answer = run(&[&["health", "--url", &server.url], more].concat());
        assert_eq!(answer.status.code(), Some(0), "{answer:?}");
        assert!(answer.stdout.is_empty() && answer.stderr.is_empty(), "{answer:?}");
    }
    let url = server.url.clone();
    server.terminate();
    let gone = complaint(&["health", "--url", &url]);
    assert!(gone.contains(&format!("cannot reach {url}")), "{gone}");
}

#[test]
fn a_server_without_its_data_folder_lives_and_is_not_ready() {
    let server = Server::start();
    let mailboxes = server.folder().join("mailbox.db");
    std::fs::rename(&mailboxes, mailboxes.with_extension("away")).unwrap();
    let not_ready = complaint(&["health", "--url", &server.url]);
    assert!(not_ready.contains("is not ready (503)"), "{not_ready}");
    assert!(run(&["health", "--live", "--url", &server.url]).status.success());
}

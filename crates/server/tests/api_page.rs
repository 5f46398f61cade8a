//! The page of the API: whole in itself, and every command on it works as it stands there.
#![allow(clippy::unwrap_used)] // a test fails by panicking

mod support;

use std::process::Command;

use support::{API_KEY, TestServer, config};
use tetherline_server::{ApiKeys, DESCRIPTIONS_AT_ONCE, DESCRIPTIONS_PER_SECOND};

/// Everything that is on the page, in an order in which each thing is there before it is asked for, and gone last.
const IN_ORDER: [&str; 30] = [
    "publish",
    "publishMany",
    "readMailbox",
    "head",
    "openStream",
    "addText",
    "readStream",
    "streams",
    "finishStream",
    "cancelStream",
    "devices",
    "presence",
    "presenceOfMany",
    "inspect",
    "trace",
    "disconnectOne",
    "disconnect",
    "issueTicket",
    "signOutOfSession",
    "signOut",
    "signOuts",
    "erase",
    "addKey",
    "key",
    "changeKey",
    "keys",
    "removeKey",
    "health",
    "readiness",
    "description",
];

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_page_works_as_it_stands_there() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config();
    config.api_keys = ApiKeys::in_file(&folder.path().join("keys.json")).unwrap();
    let server = TestServer::start(config).await;
    let page = reqwest::get(server.http("/v1/docs")).await.unwrap().text().await.unwrap();
    let articles: Vec<(&str, &str)> = page
        .split("<article class=\"panel\" id=\"")
        .skip(1)
        .filter_map(|article| article.split_once('"'))
        .filter(|(id, _)| !id.starts_with("schema-"))
        .collect();
    assert_eq!(articles.len(), IN_ORDER.len());
    for id in IN_ORDER {
        let (_, article) = articles.iter().find(|(found, _)| *found == id).unwrap();
        let command = article.split("<code>").last().unwrap().split("</code>").next().unwrap();
        let command = command.replace("&quot;", "\"").replace("&amp;", "&");
        // What is followed has no end.
        let end = if id == "trace" { "--max-time 1 " } else { "" };
        let said = format!("{end}-s -o /dev/null -w '%{{http_code}}'");
        let command = command.replacen("curl", &format!("curl {said}"), 1);
        let shell = Command::new("sh")
            .args(["-c", &command])
            .env("URL", server.http(""))
            .env("KEY", API_KEY)
            .env("CONNECTION", "c1")
            .env("ETAG", etag_of_billing(&server).await)
            .output()
            .unwrap();
        let status = String::from_utf8(shell.stdout).unwrap();
        // Nobody is connected.
        let expected = if id == "disconnectOne" { "404" } else { "2" };
        assert!(status.starts_with(expected), "{id} {status}: {command}");
    }
}

async fn etag_of_billing(server: &TestServer) -> String {
    let http = reqwest::Client::new().get(server.http("/v1/keys/billing")).bearer_auth(API_KEY);
    let answer = http.send().await.unwrap();
    answer.headers().get("ETag").map_or(String::new(), |tag| tag.to_str().unwrap().to_owned())
}

#[tokio::test]
async fn the_page_needs_nothing_from_elsewhere_and_every_link_of_it_leads_somewhere() {
    let server = TestServer::start(config()).await;
    let answer = reqwest::get(server.http("/v1/docs")).await.unwrap();
    let policy = answer.headers()["Content-Security-Policy"].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none'; style-src 'self';"), "{policy}");
    let page = answer.text().await.unwrap();
    assert!(!page.contains("<script") && !page.contains("style=\""));
    for link in page.split("href=\"").skip(1).map(|link| link.split('"').next().unwrap()) {
        match link.strip_prefix('#') {
            Some(id) => assert!(page.contains(&format!("id=\"{id}\"")), "{link}"),
            None => assert!(["data:,", "docs.css", "openapi.json"].contains(&link), "{link}"),
        }
    }
    // The answer that has a new key was a heading and nothing else.
    for article in page.split("<article").skip(1) {
        let (head, body) = article.split_once("</h3>").unwrap();
        let body = body.split("</article>").next().unwrap();
        let words = body.split('<').filter_map(|piece| piece.split_once('>'));
        assert!(words.map(|(_, text)| text.trim().len()).sum::<usize>() > 3, "{head}");
    }
    let style = reqwest::get(server.http("/v1/docs.css")).await.unwrap();
    assert_eq!(style.headers()["Content-Type"], "text/css");
    assert!(style.text().await.unwrap().contains(".api article"));
}

#[tokio::test]
async fn who_asks_for_the_description_again_and_again_has_to_wait() {
    // Forty bytes without a key fetched fifty thousand, as often as anybody liked, and each was made anew.
    let server = TestServer::start(config()).await;
    let http = reqwest::Client::new();
    for n in 0..DESCRIPTIONS_AT_ONCE {
        let path = ["/v1/openapi.json", "/v1/docs", "/v1/docs.css"][n as usize % 3];
        assert_eq!(http.get(server.http(path)).send().await.unwrap().status(), 200);
    }
    let mut answer = http.get(server.http("/v1/openapi.json")).send().await.unwrap();
    // So many more come in a second.
    for _ in 0..DESCRIPTIONS_PER_SECOND * 60 {
        if answer.status() != 200 {
            break;
        }
        answer = http.get(server.http("/v1/openapi.json")).send().await.unwrap();
    }
    assert_eq!(answer.status(), 429);
    assert!(answer.headers().contains_key("Retry-After"));
    assert_eq!(http.get(server.http("/healthz")).send().await.unwrap().status(), 200);
}

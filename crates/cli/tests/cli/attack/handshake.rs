//! Before the upgrade.

use super::{
    bystander::{Bystander, Cost},
    raw::{KEY, Raw, UPGRADE},
};
use crate::support::Server;

const ORIGIN: &str = "https://app.example.com";

/// An upgrade of eve's, with these lines in its head.
fn upgrade(token: &str, lines: &str) -> String {
    format!("GET /ws/user/eve HTTP/1.1\r\nHost: h\r\nTetherline-Token: {token}\r\n{lines}\r\n")
}

#[tokio::test]
async fn what_asks_for_no_websocket_of_version_13_is_told_so() {
    let server = Server::start();
    let mut bystander = Bystander::connect(&server).await;
    let attack = async {
        let token = server.token("eve");
        let connection = "Connection: keep-alive, Upgrade\r\n";
        let wanted = "Upgrade: WebSocket\r\n";
        let version = |version: &str| format!("Sec-WebSocket-Version: {version}\r\n");
        let all = |lines: &[&str]| upgrade(&token, &lines.concat());
        let good = all(&[connection, wanted, &version("13"), KEY]);
        for (request, expected) in [
            (good.clone(), 101),
            // Offered, and declined.
            (
                all(&[
                    connection,
                    wanted,
                    &version("13"),
                    KEY,
                    "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n",
                ]),
                101,
            ),
            (all(&[connection, wanted, &version("12"), KEY]), 426),
            (all(&[connection, wanted, &version("130"), KEY]), 426),
            (all(&[connection, wanted, &version("13, 8"), KEY]), 426),
            (all(&[connection, wanted, &version("13"), &version("8"), KEY]), 426),
            (all(&[connection, wanted, &version(""), KEY]), 426),
            (all(&[connection, wanted, KEY]), 426),
            (all(&[wanted, &version("13"), KEY]), 400),
            (all(&["Connection: close\r\n", wanted, &version("13"), KEY]), 400),
            (all(&[connection, wanted, &version("13")]), 400),
            (all(&[connection, wanted, &version("13"), KEY, KEY]), 400),
            (all(&[connection, wanted, &version("13"), "Sec-WebSocket-Key: AAAA\r\n"]), 400),
            (all(&[connection, wanted, &version("13"), "Sec-WebSocket-Key: \u{e4}\r\n"]), 400),
            (good.replace("HTTP/1.1", "HTTP/1.0"), 400),
            // They were taken, and what a proxy passes on as a body was read as frames.
            (all(&[connection, wanted, &version("13"), KEY, "Content-Length: 5\r\n"]), 400),
            (
                all(&[connection, wanted, &version("13"), KEY, "Transfer-Encoding: chunked\r\n"]),
                400,
            ),
            (all(&[connection, wanted, &version("13"), KEY, "Content-Length: 0\r\n"]), 101),
            // No upgrade at all: what one would have met.
            (all(&[&version("13"), KEY]), 426),
            (all(&[connection, "Upgrade: h2c\r\n", &version("13"), KEY]), 426),
            (good.replace("GET", "POST"), 405),
            (good.replace("GET", "get"), 405),
            (good.replace("HTTP/1.1", "HTTP/3.1"), 400),
            (good.replace("Host: h", "Host : h"), 400),
            (good.replace("Host: h", "Host: h\r\n : folded"), 400),
        ] {
            let answer = Raw::ask(&server, &request).await;
            assert_eq!(answer.status, expected, "{request}\n{answer:?}");
            assert!(!answer.head.contains("extensions"), "{answer:?}");
            let names_version = answer.head.contains("sec-websocket-version: 13\r\n");
            let is_about_version = request.contains(wanted) && expected == 426;
            assert_eq!(names_version, is_about_version, "{request}\n{answer:?}");
            assert!(!format!("{answer:?}").contains(&token.to_lowercase()), "{answer:?}");
        }
    };
    bystander.beside(&Cost::NOTHING, attack).await;
}

#[tokio::test]
async fn a_request_that_two_would_read_differently_is_read_by_nobody() {
    let server = Server::start();
    let mut bystander = Bystander::connect(&server).await;
    let attack = async {
        let message = r#"{"type":"t"}"#;
        let chunk = format!("c\r\n{message}\r\n0\r\n\r\n");
        let key = server.api_key();
        let post = |lines: &str, body: &str| {
            format!(
                "POST /v1/users/eve/messages HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {key}\r\n\
             {lines}\r\n{body}"
            )
        };
        let length = "Content-Length: 12\r\n";
        for (lines, body, expected) in [
            (length, message, 201),
            ("Transfer-Encoding: chunked\r\n", &chunk, 201),
            ("Content-Length: 12\r\nContent-Length: 11\r\n", message, 400),
            ("Content-Length: 12, 12\r\n", message, 400),
            ("Content-Length: +12\r\n", message, 400),
            ("Content-Length: -1\r\n", message, 400),
            ("Content-Length: 0xc\r\n", message, 400),
            ("Content-Length: 99999999999999999999999\r\n", message, 400),
            ("Content-Length : 12\r\n", message, 400),
            ("x: a\r\n b\r\nContent-Length: 12\r\n", message, 400),
            ("x: a\rb\r\nContent-Length: 12\r\n", message, 400),
            ("x: a\0b\r\nContent-Length: 12\r\n", message, 400),
            ("Transfer-Encoding: identity\r\nContent-Length: 12\r\n", message, 400),
            ("Transfer-Encoding: chunked, identity\r\n", &chunk, 400),
            ("Transfer-Encoding: xchunked\r\n", &chunk, 400),
            ("Transfer-Encoding: gzip, chunked\r\n", &chunk, 501),
            ("Transfer-Encoding: \u{b}chunked\r\nContent-Length: 12\r\n", message, 400),
            ("Transfer-Encoding: chunked\r\n", "-1\r\n", 400),
            ("Transfer-Encoding: chunked\r\n", "ffffffffffffffffff\r\n", 400),
            ("Transfer-Encoding: chunked\r\n", "c\n{}\n0\n\n", 400),
        ] {
            let answer = Raw::ask(&server, &post(lines, body)).await;
            assert_eq!(answer.status, expected, "{lines}{body}");
        }
        // The coding counts, and nothing that follows is a request.
        let both = format!("Transfer-Encoding: chunked\r\nContent-Length: {}\r\n", chunk.len());
        let behind = "GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n";
        let mut raw = Raw::connect(&server).await;
        raw.say(post(&both, &[chunk.as_str(), behind].concat())).await.unwrap();
        assert_eq!(raw.answer().await.status, 201);
        raw.gone().await;
        // What is no request of HTTP/1.1 at all.
        for other in [
            "GET /\r\n\r\n",
            "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0",
            "\0\0\0\0GET / HTTP/1.1\r\nHost: h\r\n\r\n",
        ] {
            assert_eq!(Raw::ask(&server, other).await.status, 400, "{other:?}");
        }
        for (what, expected) in [
            ("CONNECT evil.test:443", 400),
            ("GET evil.test:443", 400),
            ("GET evil.test", 400),
            ("TRACE /ws/user/eve", 405),
            ("OPTIONS *", 404),
        ] {
            let request =
                format!("{what} HTTP/1.1\r\nHost: evil.test:443\r\nx: what-comes-back\r\n\r\n");
            let answer = Raw::ask(&server, &request).await;
            assert_eq!(answer.status, expected, "{what}");
            assert!(!format!("{answer:?}").contains("what-comes-back"), "{answer:?}");
        }
    };
    bystander.beside(&Cost::NOTHING, attack).await;
}

#[tokio::test]
async fn no_way_of_writing_an_origin_gets_another_page_in() {
    let server = Server::start_with(&["--allow-origin", ORIGIN]);
    let mut bystander = Bystander::connect(&server).await;
    let attack = async {
        let token = server.token("eve");
        let from = |lines: &str| upgrade(&token, &format!("{UPGRADE}{KEY}{lines}"));
        for allowed in [String::new(), format!("Origin: {ORIGIN}\r\n")] {
            assert_eq!(Raw::ask(&server, &from(&allowed)).await.status, 101, "{allowed}");
        }
        for foreign in [
            "null",
            "",
            "*",
            "https://evil.test",
            "https://app.example.com.evil.test",
            "https://evilapp.example.com",
            "https://app.example.co",
            "https://app.example.com:8443",
            "https://app.example.com:443",
            "https://app.example.com/",
            "https://app.example.com/ws",
            "https://app.example.com.",
            "https://app.example.com@evil.test",
            "https://evil.test#https://app.example.com",
            "https://app.example.com\\.evil.test",
            "https://app.example.com https://evil.test",
            "https://evil.test, https://app.example.com",
            "http://app.example.com",
            "HTTPS://APP.EXAMPLE.COM",
            "app.example.com",
            "//app.example.com",
            "https://\u{430}pp.example.com",
            "https://app.example.com%00",
        ] {
            for lines in [
                format!("Origin: {foreign}\r\n"),
                format!("Origin: {ORIGIN}\r\nOrigin: {foreign}\r\n"),
                format!("Origin: {foreign}\r\nOrigin: {ORIGIN}\r\n"),
            ] {
                let answer = Raw::ask(&server, &from(&lines)).await;
                assert_eq!(answer.status, 403, "{lines}");
                assert!(!answer.head.contains("access-control-allow-origin"), "{answer:?}");
            }
        }
        // Nobody's page is no reason to let somebody in without a token.
        let nobody = format!("GET /ws/user/eve HTTP/1.1\r\nHost: h\r\n{UPGRADE}{KEY}\r\n");
        assert_eq!(Raw::ask(&server, &nobody).await.status, 401);
    };
    bystander.beside(&Cost::NOTHING, attack).await;
}

#[tokio::test]
async fn who_asks_for_another_user_does_not_learn_whether_there_is_one() {
    let server = Server::start();
    server.publish("ada", r#"{"n":1}"#);
    let _connected = crate::socket::Socket::of(&server, "ada", "laptop").await;
    let eve = server.token("eve");
    for lines in [format!("{UPGRADE}{KEY}"), String::new()] {
        let mut answers = Vec::new();
        for user in ["ada", "zoe"] {
            let request =
                upgrade(&eve, &lines).replace("/ws/user/eve", &format!("/ws/user/{user}"));
            answers.push(Raw::ask(&server, &request).await.at_any_time());
        }
        assert_eq!((answers[0].status, &answers[0].error()["code"]), (403, &"forbidden".into()));
        assert_eq!(answers[0], answers[1]);
    }
}

#[tokio::test]
async fn a_token_comes_back_in_no_answer() {
    let server = Server::start();
    let mut bystander = Bystander::connect(&server).await;
    let attack = async {
        let (eve, forged) = (server.token("eve"), "c2VjcmV0.c2VjcmV0.c2VjcmV0");
        let protocol =
            |token: &str| format!("Sec-WebSocket-Protocol: bearer.{token}, tetherline.v1\r\n");
        let get =
            |path: &str, lines: &str| format!("GET {path} HTTP/1.1\r\nHost: h\r\n{lines}\r\n");
        let upgrade = format!("{UPGRADE}{KEY}");
        for (token, path, lines, expected) in [
            (eve.as_str(), "/ws/user/eve", upgrade.as_str(), 101),
            (&eve, "/ws/user/ada", &upgrade, 403),
            (&eve, "/ws/user/eve", "", 426),
            (&eve, "/ws/user/eve?device=a%20b", &upgrade, 400),
            (&eve, "/nowhere", &upgrade, 404),
            (forged, "/ws/user/eve", &upgrade, 401),
        ] {
            let request = get(path, &format!("{}{lines}", protocol(token)));
            let answer = Raw::ask(&server, &request).await;
            assert_eq!(answer.status, expected, "{request}");
            assert!(!format!("{answer:?}").contains(&token.to_lowercase()), "{answer:?}");
            let selected =
                answer.head.lines().find(|line| line.starts_with("sec-websocket-protocol"));
            let expected = (expected == 101).then_some("sec-websocket-protocol: tetherline.v1");
            assert_eq!(selected, expected);
        }
        let plain =
            get("/ws/user/eve", &format!("{upgrade}Sec-WebSocket-Protocol: bearer.{eve}\r\n"));
        let answer = Raw::ask(&server, &plain).await;
        assert!(answer.status == 101 && !answer.head.contains("-protocol"), "{answer:?}");
    };
    bystander.beside(&Cost::NOTHING, attack).await;
}

#[tokio::test]
async fn floods_of_headers_are_refused_and_cost_nobody_anything() {
    let server = Server::start();
    let mut bystander = Bystander::connect(&server).await;
    let many = "x: y\r\n".repeat(1_000);
    let long = format!("x: {}\r\n", "y".repeat(20_000));
    let name = format!("{}: y\r\n", "x".repeat(20_000));
    let attack = async {
        for lines in [&many, &long, &name] {
            for _ in 0..20 {
                let request = format!("GET /ws/user/eve HTTP/1.1\r\nHost: h\r\n{lines}\r\n");
                assert_eq!(Raw::ask(&server, &request).await.status, 431);
            }
        }
        let path = format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "x".repeat(20_000));
        assert_eq!(Raw::ask(&server, &path).await.status, 431);
        // Without an end, and never read.
        for _ in 0..20 {
            let mut raw = Raw::connect(&server).await;
            let _ = raw.say(format!("GET / HTTP/1.1\r\n{}", "x: y\r\n".repeat(100_000))).await;
            raw.gone().await;
        }
    };
    bystander.beside(&Cost::NOTHING, attack).await;
}

#[tokio::test]
async fn what_is_not_there_is_refused_in_the_form_of_everything_else() {
    // They were a 404 and a 405 and no word, as something in between says it.
    let server = Server::start();
    let mut bystander = Bystander::connect(&server).await;
    let attack = async {
        for (what, status, code) in [
            ("GET /v1/nowhere", 404, "not_found"),
            ("POST /v1/users/eve/nowhere", 404, "not_found"),
            ("GET /ws/nowhere/at/all", 404, "not_found"),
            ("GET /", 404, "not_found"),
            ("GET /nowhere", 404, "not_found"),
            ("GET /v1", 404, "not_found"),
            ("GET /ws/", 404, "not_found"),
            ("POST /metrics", 404, "not_found"),
            ("GET /favicon.ico", 404, "not_found"),
            ("PUT /v1/users/eve/messages", 405, "bad_frame"),
            ("PUT /ws/user/eve", 405, "bad_frame"),
            ("DELETE /v1/messages", 405, "bad_frame"),
        ] {
            let answer = Raw::ask(&server, &format!("{what} HTTP/1.1\r\nHost: h\r\n\r\n")).await;
            assert_eq!(answer.status, status, "{what}");
            assert_eq!(answer.error()["code"], code, "{what}");
            assert!(answer.error()["message"].as_str().unwrap().ends_with('.'), "{what}");
            assert_eq!(answer.head.contains("\r\nallow: "), status == 405, "{what}: {answer:?}");
        }
    };
    bystander.beside(&Cost::NOTHING, attack).await;
}

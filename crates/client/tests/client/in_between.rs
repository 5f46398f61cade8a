//! What stands between a client and its server, and answers in its place.

use tetherline::{Event, Status, WaitReason};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
    sync::watch,
    time::timeout,
};

use crate::support::{Host, PATIENCE, event, until, until_caught_up};

const REFUSAL: &str = r#"{"error":{"code":"unauthorized","message":"No."}}"#;

/// What a proxy makes of a request: an answer of its own, or it lets it through.
type Rule = fn(head: &str) -> Option<String>;

/// A proxy that can be told another rule.
struct Proxy {
    url: String,
    rule: watch::Sender<Rule>,
}

impl Proxy {
    async fn before(host: &Host, rule: Rule) -> Self {
        Self::rewriting(host, rule, str::to_owned).await
    }

    /// What it lets through has another head then.
    async fn rewriting(host: &Host, rule: Rule, rewrite: fn(&str) -> String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let behind = host.url.trim_start_matches("http://").to_owned();
        let (sender, current) = watch::channel(rule);
        tokio::spawn(async move {
            while let Ok((outside, _)) = listener.accept().await {
                tokio::spawn(pass(outside, behind.clone(), *current.borrow(), rewrite));
            }
        });
        Self { url, rule: sender }
    }
}

async fn pass(mut outside: TcpStream, behind: String, rule: Rule, rewrite: fn(&str) -> String) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match outside.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8_lossy(&head);
    if let Some(answer) = rule(&head) {
        let _ = outside.write_all(answer.as_bytes()).await;
        let _ = outside.shutdown().await;
        return;
    }
    let mut head = rewrite(&head);
    if !head.to_ascii_lowercase().contains("\r\nupgrade:") {
        // Another request on the same connection would not be looked at.
        head = head.replacen("\r\n", "\r\nConnection: close\r\n", 1);
    }
    let mut inside = TcpStream::connect(behind).await.unwrap();
    inside.write_all(head.as_bytes()).await.unwrap();
    let _ = copy_bidirectional(&mut outside, &mut inside).await;
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}

/// `Authorization: Basic` of `gate` and `secret`, or no way through.
fn wants_password(head: &str) -> Option<String> {
    let has_it =
        head.lines().any(|line| line.eq_ignore_ascii_case("authorization: Basic Z2F0ZTpzZWNyZXQ="));
    let challenge = "WWW-Authenticate: Basic realm=\"gate\"\r\n";
    (!has_it).then(|| answer("401 Unauthorized", challenge, "<h1>401</h1>"))
}

#[tokio::test]
async fn answers_that_are_not_the_servers_sign_nobody_out() {
    // One 403 of a proxy in the middle of a deploy, or two 401s, and the person was signed out.
    let rules: [(&str, Rule); 7] = [
        ("403", |_| Some(answer("403 Forbidden", "", "<h1>403 Forbidden</h1>"))),
        ("401", |_| Some(answer("401 Unauthorized", "WWW-Authenticate: Basic\r\n", ""))),
        ("401", |_| Some(answer("401 Unauthorized", "", r#"{"error":"unauthorized"}"#))),
        ("200", |_| Some(answer("200 OK", "", "<form>Sign in</form>"))),
        // Followed, it ends where somebody refuses everything, in whatever form.
        ("302", |head| {
            Some(if head.contains("/sign-in") {
                answer("401 Unauthorized", "", REFUSAL)
            } else {
                answer("302 Found", "Location: /sign-in\r\n", "")
            })
        }),
        ("404", |_| Some(answer("404 Not Found", "", ""))),
        ("502", |_| Some(answer("502 Bad Gateway", "", "<h1>502 Bad Gateway</h1>"))),
    ];
    let host = Host::start();
    for (status, rule) in rules {
        let proxy = Proxy::before(&host, rule).await;
        let (asking, mut asked) = watch::channel(Vec::new());
        let token = host.token();
        let provider = move |fresh| {
            asking.send_modify(|asked| asked.push(fresh));
            let token = token.clone();
            async move { Ok(token) }
        };
        let mut client = host.builder_at(&proxy.url).token(provider).connect().unwrap();
        let waiting = until(&client, Status::Waiting).await;
        assert_eq!(waiting.reason, Some(WaitReason::Unreachable), "{status}");
        let trouble = waiting.trouble.unwrap();
        assert!(trouble.contains(status) && trouble.contains("not as Tetherline"), "{trouble}");
        // The first 401 only cost a fresh token, and the second signed out.
        let third = asked.wait_for(|asked| asked.len() == 3);
        timeout(PATIENCE, third).await.expect("a third attempt").unwrap();
        proxy.rule.send_replace(|_| None);
        client.reconnect().await;
        until_caught_up(&mut client).await;
        assert!(!asked.borrow().contains(&true), "{status}: the token was never in doubt");
        assert_eq!(until(&client, Status::Connected).await.trouble, None);
    }
}

#[tokio::test]
async fn a_proxy_gets_the_password_that_the_url_names_and_the_server_its_token() {
    // The client's own `Authorization` took its place: 401 for ever, and that was believed.
    let host = Host::start();
    let proxy = Proxy::before(&host, wants_password).await;
    let without = host.builder_at(&proxy.url).connect().unwrap();
    let waiting = until(&without, Status::Waiting).await;
    assert_eq!(waiting.reason, Some(WaitReason::Unreachable));

    let url = proxy.url.replace("http://", "http://gate:secret@");
    let mut client = host.builder_at(&url).connect().unwrap();
    until_caught_up(&mut client).await;

    // What the server itself says comes through, too.
    let mut refused = host.builder_at(&url).only_token("no.good.token").connect().unwrap();
    assert!(matches!(event(&mut refused).await, Some(Event::IdentityRefused { is_final: true })));
}

/// A head without the headers that begin so.
fn without(head: &str, names: &[&str]) -> String {
    let is_kept = |line: &&str| {
        let line = line.to_ascii_lowercase();
        !names.iter().any(|name| line.starts_with(name))
    };
    head.split_inclusive("\r\n").filter(is_kept).collect()
}

#[tokio::test]
async fn a_proxy_that_takes_the_token_away_signs_nobody_out() {
    // The server's "A token is needed" was taken for a refusal of the one that it never saw.
    let host = Host::start();
    let drops = |head: &str| {
        without(head, &["authorization:", "tetherline-token:", "sec-websocket-protocol:"])
    };
    let proxy = Proxy::rewriting(&host, |_| None, drops).await;
    let client = host.builder_at(&proxy.url).connect().unwrap();
    let waiting = until(&client, Status::Waiting).await;
    assert_eq!(waiting.reason, Some(WaitReason::Unreachable));
    let trouble = waiting.trouble.unwrap();
    assert!(trouble.contains("401") && trouble.contains("not as Tetherline"), "{trouble}");
}

#[tokio::test]
async fn a_gateway_with_a_bearer_of_its_own_lets_the_token_through() {
    // The server took the gateway's for the client's, and refused it for good.
    let host = Host::start();
    let gateway = |head: &str| {
        let head = without(head, &["authorization:"]);
        head.replacen("\r\n", "\r\nAuthorization: Bearer of.the.gateway\r\n", 1)
    };
    let proxy = Proxy::rewriting(&host, |_| None, gateway).await;
    let mut client = host.builder_at(&proxy.url).connect().unwrap();
    until_caught_up(&mut client).await;
    // No upgrade: what is asked instead carries the token where the gateway writes nothing.
    let no_upgrade = |head: &str| {
        let head = without(head, &["upgrade:", "connection:", "authorization:"]);
        head.replacen("\r\n", "\r\nAuthorization: Bearer of.the.gateway\r\n", 1)
    };
    let proxy = Proxy::rewriting(&host, |_| None, no_upgrade).await;
    let client = host.builder_at(&proxy.url).connect().unwrap();
    let waiting = until(&client, Status::Waiting).await;
    assert_eq!(waiting.reason, Some(WaitReason::NoUpgrade));
}

use reqwest::{Client, Response, header};

use crate::process::{Chat, Start};

async fn get(chat: &Chat, path: &str, accept: &str) -> Response {
    let request = Client::new().get(format!("{}{path}", chat.url));
    request.header(header::ACCEPT, accept).send().await.unwrap()
}

fn header_of(response: &Response, name: header::HeaderName) -> &str {
    response.headers()[name].to_str().unwrap()
}

#[tokio::test]
async fn the_web_application_is_served_with_safe_headers_and_right_caches() {
    let folder = tempfile::tempdir().unwrap();
    let web = folder.path().join("web");
    std::fs::create_dir_all(web.join("assets")).unwrap();
    std::fs::write(web.join("index.html"), "<!doctype html><title>chat</title>").unwrap();
    std::fs::write(web.join("assets/app-1a2b.js"), "export {}").unwrap();
    std::fs::write(web.join("assets/engine-3c4d.wasm"), "\0asm").unwrap();
    let data = folder.path().join("data");
    let chat = Start::on(&data).with(&["--web", web.to_str().unwrap()]).run().await;

    for path in ["/", "/conversations/some-uuid"] {
        let page = get(&chat, path, "text/html,*/*").await;
        assert_eq!(page.status(), 200, "{path}");
        assert_eq!(header_of(&page, header::CACHE_CONTROL), "no-cache");
        let policy = header_of(&page, header::CONTENT_SECURITY_POLICY);
        assert!(policy.contains("script-src 'self' 'wasm-unsafe-eval';"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(!policy.contains('['), "no browser takes an IPv6 address there: {policy}");
        assert!(policy.contains(&chat.url.replacen("http", "ws", 1)), "{policy}");
        assert_eq!(header_of(&page, header::X_CONTENT_TYPE_OPTIONS), "nosniff");
        assert_eq!(header_of(&page, header::REFERRER_POLICY), "no-referrer");
        assert!(page.text().await.unwrap().contains("<title>chat</title>"));
    }
    let script = get(&chat, "/assets/app-1a2b.js", "*/*").await;
    assert!(header_of(&script, header::CACHE_CONTROL).contains("immutable"));
    assert_eq!(header_of(&script, header::CONTENT_TYPE), "text/javascript");
    let engine = get(&chat, "/assets/engine-3c4d.wasm", "*/*").await;
    assert_eq!(header_of(&engine, header::CONTENT_TYPE), "application/wasm");

    let missing = get(&chat, "/assets/app-9z9z.js", "*/*").await;
    assert_eq!(missing.status(), 404);
    assert_eq!(header_of(&missing, header::CACHE_CONTROL), "no-cache");
    let outside = get(&chat, "/..%2fdata%2fjwt.secret", "*/*").await;
    assert_eq!(outside.status(), 404);
    let api = get(&chat, "/api/nowhere", "text/html").await;
    assert_eq!(
        (api.status().as_u16(), header_of(&api, header::CONTENT_TYPE)),
        (404, "application/problem+json")
    );
}

#[tokio::test]
async fn without_the_web_application_the_page_says_so() {
    let (_folder, chat) = Chat::fresh().await;
    let page = get(&chat, "/", "text/html").await;
    assert_eq!(page.status(), 404);
    assert!(page.text().await.unwrap().contains("--web"));
    assert_eq!(get(&chat, "/api/health", "*/*").await.status(), 200);
}

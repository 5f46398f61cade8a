//! The page of whoever looks after the server: three files in the binary, which load nothing from elsewhere and run no
//! script that stands in the page itself.

use axum::{Router, response::Response, routing::get};

use crate::http::answer::part_of_a_page;

/// What a browser lets the page do: nothing but ask this very listener.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/", get(async || file("text/html; charset=utf-8", include_str!("page/index.html"))))
        .route("/page.css", get(async || file("text/css", include_str!("page/page.css"))))
        .route("/page.js", get(async || file("text/javascript", include_str!("page/page.js"))))
}

fn file(kind: &'static str, text: &'static str) -> Response {
    part_of_a_page(kind, POLICY, text)
}

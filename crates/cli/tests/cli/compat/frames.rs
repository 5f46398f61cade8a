//! What the clients of an older version say, to the server of this one: it answers as it did.

use std::collections::HashMap;

use reqwest::{Method, header};
use serde_json::Value;

use super::{
    application,
    said::Names,
    transcript::{self, Answer, By, Request, Step},
};
use crate::{socket::Socket, support::Server};

struct Player {
    server: Server,
    http: reqwest::Client,
    names: Names,
    sockets: HashMap<usize, Socket>,
    /// What the server may say; a receiver ignores other types.
    known: Vec<String>,
}

#[tokio::test]
async fn a_page_of_before_reads_sends_and_comes_back() {
    play("messages").await;
}

#[tokio::test]
async fn a_page_of_before_sees_answers_grow_and_stops_them() {
    play("streams").await;
}

#[tokio::test]
async fn a_page_of_before_is_told_of_gaps() {
    play("gaps").await;
}

#[tokio::test]
async fn a_page_of_before_renews_its_token_and_is_refused() {
    play("identity").await;
}

#[tokio::test]
async fn a_page_of_before_pings_and_hears_of_a_restart() {
    play("liveness").await;
}

#[tokio::test]
async fn a_native_client_of_before_reads_and_comes_back() {
    play("native").await;
}

async fn play(name: &str) {
    let steps = transcript::read(name);
    let (mut known, mut serve) = (Vec::new(), Vec::new());
    for step in &steps {
        match step {
            Step::Server { frame, .. } => known.push(frame["type"].as_str().unwrap().to_owned()),
            Step::Story { story, serve: options } => {
                assert_eq!(story, name);
                serve.clone_from(options);
            }
            _ => {}
        }
    }
    let url = application::start();
    let mut arguments = vec!["--webhook-url", &*url];
    arguments.extend(serve.iter().map(String::as_str));
    let server = Server::start_with(&arguments);
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let names = Names::default();
    let mut player = Player { server, http, names, sockets: HashMap::new(), known };
    for (number, step) in steps.iter().enumerate() {
        if let Err(wrong) = player.play(step).await {
            panic!("{name}.jsonl:{}: {wrong}", number + 1);
        }
    }
}

impl Player {
    async fn play(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Story { .. } => Ok(()),
            Step::Http { http, answer } => self.ask(http, answer).await,
            Step::Open { open, path, protocols, status, selected } => {
                // What was refused had the token of somebody else, or none of ours.
                let token = self.token(*status);
                let protocols: Vec<String> =
                    protocols.iter().map(|name| name.replace("{token}", &token)).collect();
                let opened = Socket::open(&self.server.url, path, &protocols).await;
                let now = opened.as_ref().map_or_else(|status| *status, |_| 101);
                if now != *status {
                    return Err(format!("answered {now} instead of {status}"));
                }
                if let Ok(socket) = opened {
                    if socket.selected != *selected {
                        return Err(format!("{:?} was selected", socket.selected));
                    }
                    self.sockets.insert(*open, socket);
                }
                Ok(())
            }
            Step::Page { page, frame } => {
                let mut frame = self.names.translate(frame);
                if frame["type"] == "authenticate" {
                    frame["token"] = self.server.token("ann").into();
                }
                self.socket(*page).send(&frame).await;
                Ok(())
            }
            Step::Server { server, frame } => {
                let now = loop {
                    let now = self.socket(*server).next().await;
                    let now = now.map_err(|code| format!("closed with {code}"))?;
                    if self.known.iter().any(|kind| now["type"] == **kind) {
                        break now;
                    }
                };
                self.names.compare(frame, &now)
            }
            Step::Close { close, by, code } => self.close(*close, *by, *code).await,
            Step::Probe { probe, answer } => {
                let request = self.http.get(format!("{}{probe}", self.server.url));
                let request = request.bearer_auth(self.token(answer.status));
                self.compare(request, answer).await
            }
            Step::Trimmed { trimmed, next } => {
                self.until_trimmed(trimmed, *next).await;
                Ok(())
            }
            Step::Stops { stops } => {
                assert!(stops);
                self.server.ask_to_end();
                Ok(())
            }
        }
    }

    fn socket(&mut self, number: usize) -> &mut Socket {
        self.sockets.get_mut(&number).expect("a connection that is open")
    }

    /// One that is answered so.
    fn token(&self, status: u16) -> String {
        match status {
            401 => "none.of.ours".to_owned(),
            403 => self.server.token("bob"),
            _ => self.server.token("ann"),
        }
    }

    async fn ask(&mut self, asked: &Request, answer: &Answer) -> Result<(), String> {
        let method = Method::from_bytes(asked.method.as_bytes()).unwrap();
        let url = format!("{}{}", self.server.url, asked.path);
        let mut request = self.http.request(method, url).bearer_auth(self.server.api_key());
        for (name, value) in &asked.headers {
            request = request.header(name, value);
        }
        if let Some(body) = &asked.body {
            request = request.header(header::CONTENT_TYPE, "text/plain").body(body.to_string());
        }
        self.compare(request, answer).await
    }

    async fn compare(
        &mut self,
        request: reqwest::RequestBuilder,
        recorded: &Answer,
    ) -> Result<(), String> {
        let answer = request.send().await.map_err(|error| error.to_string())?;
        let status = answer.status().as_u16();
        let text = answer.text().await.map_err(|error| error.to_string())?;
        if status != recorded.status {
            return Err(format!("answered {status} instead of {}: {text}", recorded.status));
        }
        if recorded.body == Value::Null {
            return Ok(());
        }
        let now = serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))?;
        self.names.compare(&recorded.body, &now)
    }

    async fn close(&mut self, number: usize, by: By, code: u16) -> Result<(), String> {
        let mut socket = self.sockets.remove(&number).expect("a connection that is open");
        match by {
            By::Network => drop(socket),
            By::Page => socket.close(code).await,
            By::Server => {
                return match socket.next().await {
                    Err(now) if now == code => Ok(()),
                    other => Err(format!("{other:?} came instead of a close with {code}")),
                };
            }
        }
        Ok(())
    }

    async fn until_trimmed(&self, user: &str, next: u64) {
        loop {
            let mut socket = Socket::of(&self.server, user, "looks").await;
            socket.frame("connection_established").await;
            socket.send(&serde_json::json!({ "type": "get_pending", "after": 0 })).await;
            let first = socket.next().await.unwrap();
            if first["type"] == "mailbox_gap" && first["next"] == next {
                return;
            }
        }
    }
}

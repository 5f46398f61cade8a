use std::{
    collections::VecDeque,
    io::{Read as _, Write as _, copy},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use crate::support::Server;

/// What stands before a server, and answers in its place when it is told to.
pub(crate) struct Meddler {
    pub(crate) url: String,
    state: Arc<State>,
}

/// What becomes of the next connection. Without another word it is passed on.
pub(crate) enum Way {
    /// A page of HTML with this status.
    Page(String),
    HangUp,
}

#[derive(Default)]
struct State {
    ways: Mutex<VecDeque<Way>>,
    open: Mutex<Vec<TcpStream>>,
}

impl Meddler {
    pub(crate) fn before(server: &Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(State::default());
        let (shared, address) = (Arc::clone(&state), server.url.replace("http://", ""));
        thread::spawn(move || {
            for client in listener.incoming() {
                let (client, shared, address) =
                    (client.unwrap(), Arc::clone(&shared), address.clone());
                thread::spawn(move || shared.take(client, &address));
            }
        });
        Self { url, state }
    }

    pub(crate) fn will(&self, ways: impl IntoIterator<Item = Way>) {
        self.state.ways.lock().unwrap().extend(ways);
    }

    /// Cuts what is passed on just now.
    pub(crate) fn cuts(&self) {
        for socket in self.state.open.lock().unwrap().drain(..) {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

impl State {
    fn take(&self, mut client: TcpStream, address: &str) {
        let way = self.ways.lock().unwrap().pop_front();
        match way {
            Some(Way::HangUp) => {}
            Some(Way::Page(status)) => {
                let mut head = [0; 4096];
                let _ = client.read(&mut head);
                let page = "<html>Sorry.</html>";
                let length = page.len();
                let head = format!("HTTP/1.1 {status}\r\nContent-Type: text/html\r\n");
                let rest = format!("Content-Length: {length}\r\nConnection: close\r\n\r\n{page}");
                let _ = client.write_all((head + &rest).as_bytes());
                let _ = client.shutdown(Shutdown::Write);
                // What is left unread would take the page with it.
                let _ = copy(&mut client, &mut std::io::sink());
            }
            None => {
                let Ok(server) = TcpStream::connect(address) else { return };
                let clone = |socket: &TcpStream| socket.try_clone().unwrap();
                self.open.lock().unwrap().extend([clone(&client), clone(&server)]);
                let (back_from, back_to) = (clone(&server), clone(&client));
                thread::spawn(move || pass(back_from, back_to));
                pass(client, server);
            }
        }
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream) {
    let _ = copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}

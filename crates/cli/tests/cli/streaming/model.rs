use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::mpsc::{Receiver, Sender, channel},
    thread,
};

use serde_json::Value;

use crate::support::PATIENCE;

/// An OpenAI-compatible server for one question. It says what it is told to.
pub(crate) struct Model {
    pub(crate) url: String,
    asked: Receiver<Value>,
    script: Sender<Line>,
}

enum Line {
    Bytes(Vec<u8>),
    /// Again and again, until the other side hangs up.
    Forever(Vec<u8>),
    End,
    Cut,
}

impl Model {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let (ask, asked) = channel();
        let (script, lines) = channel();
        thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream);
            ask.send(question(&mut reader)).unwrap();
            speak(reader.into_inner(), &lines);
        });
        Self { url, asked, script }
    }

    /// What it was asked.
    pub(crate) fn request(&self) -> Value {
        self.asked.recv_timeout(PATIENCE).expect("the question")
    }

    pub(crate) fn says(&self, chunk: &Value) {
        self.sends(&event(chunk));
    }

    /// The same, cut within its first character that is not ASCII.
    pub(crate) fn says_in_two(&self, chunk: &Value, cut: usize) {
        let event = event(chunk).into_bytes();
        let middle = event.iter().position(|byte| !byte.is_ascii()).unwrap() + cut;
        let (one, two) = event.split_at(middle);
        self.tell(Line::Bytes(one.to_vec()));
        self.tell(Line::Bytes(two.to_vec()));
    }

    pub(crate) fn sends(&self, text: &str) {
        self.tell(Line::Bytes(text.into()));
    }

    pub(crate) fn sends_bytes(&self, bytes: &[u8]) {
        self.tell(Line::Bytes(bytes.to_vec()));
    }

    pub(crate) fn goes_on_for_ever(&self, chunk: &Value) {
        self.tell(Line::Forever(event(chunk).into()));
    }

    /// Ends its answer in order, whatever it has said.
    pub(crate) fn ends(&self) {
        self.tell(Line::End);
    }

    /// Hangs up in the middle of its answer.
    pub(crate) fn is_cut(&self) {
        self.tell(Line::Cut);
    }

    fn tell(&self, line: Line) {
        self.script.send(line).expect("somebody listens to the model");
    }
}

fn event(chunk: &Value) -> String {
    format!("data: {chunk}\n\n")
}

fn question(reader: &mut BufReader<TcpStream>) -> Value {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        reader.read_line(&mut head).unwrap();
    }
    assert!(head.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"), "{head}");
    let head = head.to_lowercase();
    assert!(head.contains("authorization: bearer sk-test\r\n"), "{head}");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.unwrap().parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    serde_json::from_slice(&body).unwrap()
}

/// Chunked, as such servers do. It ends when nobody listens any more, or nobody tells it more.
fn speak(mut stream: TcpStream, lines: &Receiver<Line>) {
    let head =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n";
    stream.write_all(format!("{head}\r\n").as_bytes()).unwrap();
    for line in lines {
        let written = match line {
            Line::Bytes(bytes) => chunk(&mut stream, &bytes),
            Line::Forever(bytes) => loop {
                if let Err(error) = chunk(&mut stream, &bytes) {
                    break Err(error);
                }
            },
            Line::End => return drop(chunk(&mut stream, &[])),
            Line::Cut => return,
        };
        if written.is_err() {
            return;
        }
    }
}

/// An empty one is the last.
fn chunk(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    let chunk = [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
    stream.write_all(&chunk)
}

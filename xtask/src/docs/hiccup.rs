//! What stands between a document's snippets and its servers, and fails once when it is told to: what
//! a reader copies has to get over a proxy's 502, or to say that it did not.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use anyhow::{Context as _, Result};

/// As an empty one comes from a proxy whose server restarts.
const ANSWER: &[u8] = b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

pub(super) struct Front {
    pub(super) port: u16,
    fails: Arc<AtomicBool>,
}

impl Front {
    /// Listens until this process ends.
    pub(super) fn open(behind: u16) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("no free port")?;
        let port = listener.local_addr()?.port();
        let fails = Arc::new(AtomicBool::new(false));
        let armed = fails.clone();
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let fails = armed.swap(false, Ordering::SeqCst);
                // Whoever is cut off sees it at the other end.
                thread::spawn(move || if fails { fail(near) } else { pass(near, behind) });
            }
        });
        Ok(Self { port, fails })
    }

    /// Fails the next connection's request.
    pub(super) fn fail_once(&self) {
        self.fails.store(true, Ordering::SeqCst);
    }

    /// Takes that back. Whether it has failed meanwhile.
    pub(super) fn relent(&self) -> bool {
        !self.fails.swap(false, Ordering::SeqCst)
    }
}

/// Reads the whole request, so that its sender sees the answer and no reset.
fn fail(stream: TcpStream) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? <= "\r\n".len() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or_default();
        }
    }
    io::copy(&mut reader.by_ref().take(length), &mut io::sink())?;
    reader.get_mut().write_all(ANSWER)
}

fn pass(mut near: TcpStream, behind: u16) -> io::Result<()> {
    let mut far = TcpStream::connect(("127.0.0.1", behind))?;
    let (mut from, mut to) = (far.try_clone()?, near.try_clone()?);
    thread::spawn(move || {
        let copied = io::copy(&mut from, &mut to);
        to.shutdown(Shutdown::Write).and(copied)
    });
    let copied = io::copy(&mut near, &mut far);
    far.shutdown(Shutdown::Write)?;
    copied.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(port: u16) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.write_all(b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nHi").unwrap();
        io::read_to_string(stream).unwrap()
    }

    #[test]
    fn one_request_fails_and_the_next_is_passed_on() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let front = Front::open(server.local_addr().unwrap().port()).unwrap();
        thread::spawn(move || server.accept().unwrap().0.write_all(b"here").unwrap());
        front.fail_once();
        assert!(ask(front.port).starts_with("HTTP/1.1 502 "));
        assert!(front.relent());
        assert_eq!(ask(front.port), "here");
        front.fail_once();
        assert!(!front.relent());
    }
}

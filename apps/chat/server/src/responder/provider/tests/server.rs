//! A server on a real socket that sends exactly what it is told, when it is told.

use std::{future::pending, sync::Arc};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};

/// What goes out after the head of the response, each in a write of its own.
pub(super) struct Script {
    writes: Vec<Vec<u8>>,
    end: End,
    gate: Option<Arc<Semaphore>>,
}

/// What comes after the last write.
#[derive(Clone, Copy)]
pub(super) enum End {
    /// The proper end of the body.
    Proper,
    /// The connection goes down in the middle of the body.
    Reset,
    /// Nothing, and the connection stays.
    Silence,
    /// Signs of life, for ever.
    KeepAlives,
}

/// Lets one write pass at a time.
pub(super) struct Gate(Arc<Semaphore>);

impl Gate {
    pub(super) fn open(&mut self) {
        self.0.add_permits(1);
    }
}

impl Script {
    pub(super) fn new(body: impl Into<Vec<u8>>, end: End) -> Self {
        let writes = Vec::from_iter(Some(body.into()).filter(|body| !body.is_empty()));
        Self { writes, end, gate: None }
    }

    pub(super) fn bytewise(body: &str) -> Self {
        let writes = body.bytes().map(|byte| vec![byte]).collect();
        Self { writes, end: End::Proper, gate: None }
    }

    /// Events that wait for the gate to be opened for each.
    pub(super) fn gated<const N: usize>(events: [&str; N]) -> (Self, Gate) {
        let gate = Arc::new(Semaphore::new(0));
        let writes = events.map(|event| format!("{event}\n\n").into_bytes()).into();
        (Self { writes, end: End::Proper, gate: Some(Arc::clone(&gate)) }, Gate(gate))
    }
}

/// Answers one request, and tells where.
pub(super) async fn serve(script: Script) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        // Whoever is told to stop listening does, in the middle of a write.
        let _ = play(socket, script).await;
    });
    base_url
}

async fn play(mut socket: TcpStream, script: Script) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    read_request(&mut socket).await?;
    socket
        .write_all(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
              transfer-encoding: chunked\r\n\r\n",
        )
        .await?;
    for write in script.writes {
        if let Some(gate) = &script.gate {
            gate.acquire().await.unwrap().forget();
        }
        chunk(&mut socket, &write).await?;
    }
    match script.end {
        End::Proper => socket.write_all(b"0\r\n\r\n").await,
        End::Reset => socket.shutdown().await,
        End::Silence => pending().await,
        End::KeepAlives => loop {
            chunk(&mut socket, b": still here\n\n").await?;
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        },
    }
}

async fn chunk(socket: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
    chunk.extend_from_slice(bytes);
    chunk.extend_from_slice(b"\r\n");
    socket.write_all(&chunk).await
}

/// What is left unread when a socket closes makes the other end lose what was sent to it.
pub(super) async fn read_request(socket: &mut TcpStream) -> std::io::Result<()> {
    let (mut request, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let read = socket.read(&mut buffer).await?;
        request.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&request).to_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
        if read == 0 || body.len() >= length.unwrap_or("0").parse().unwrap_or(0) {
            return Ok(());
        }
    }
}

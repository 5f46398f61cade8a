//! A publisher: one connection, one request at a time. There is no HTTP library around it, so that it
//! costs as little as can be on this side.

use std::{
    io::Result,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use memchr::memmem;
use tetherline_process::note;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{
    connection::{dial, invalid},
    dialect::{Medium, Message, mqtt_connect},
    ledger::Mark,
    publishing::Desk,
};

const ANSWER_BYTES: usize = 4 * 1024;

pub(super) struct Publisher {
    desk: Arc<Desk>,
    pub(super) id: u16,
    /// How many it has published.
    next: u32,
    pub(super) random: fastrand::Rng,
    stream: TcpStream,
    medium: Medium,
    request: Vec<u8>,
    answer: Vec<u8>,
}

/// What publishers were told.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) acknowledged: AtomicU64,
    pub(super) refused: AtomicU64,
}

impl Publisher {
    pub(super) async fn open(desk: &Arc<Desk>, id: u16) -> Result<Self> {
        let dialect = &desk.subscribing.dialect;
        let mut publisher = Self {
            id,
            next: 0,
            // Of no surprise: every run publishes to the same users.
            random: fastrand::Rng::with_seed(u64::from(id)),
            stream: dial(dialect.publishes_to(desk.subscribing.server), 0).await?,
            medium: dialect.medium(),
            request: Vec::new(),
            answer: Vec::with_capacity(ANSWER_BYTES),
            desk: desk.clone(),
        };
        if let Medium::Mqtt = publisher.medium {
            publisher.request = mqtt_connect(&format!("publisher-{id}"), true);
            publisher.ask().await?;
        }
        Ok(publisher)
    }

    /// Publishes to these users, in one request if they are several; `None` stands for now.
    pub(super) async fn publish(&mut self, users: &[u32], due_ns: u64) -> Result<()> {
        let messages: Vec<Message> = users.iter().map(|&user| self.message(user, due_ns)).collect();
        let dialect = &self.desk.subscribing.dialect;
        self.request.clear();
        match &messages[..] {
            [message] => dialect.publish(message, &mut self.request),
            messages => dialect
                .publish_together(messages, &mut self.request)
                .map_err(|problem| invalid(problem.to_string()))?,
        }
        let is_taken = self.ask().await?;
        let (told, count) = (&self.desk.told, messages.len() as u64);
        if !is_taken {
            let before = told.refused.fetch_add(count, Relaxed);
            if before == 0 {
                note!("a publish was refused: {}", String::from_utf8_lossy(&self.answer));
            }
            return Ok(());
        }
        told.acknowledged.fetch_add(count, Relaxed);
        let listened = messages.iter().filter(|message| self.desk.listens(message.mark.user));
        listened.for_each(|message| self.desk.subscribing.ledger.acknowledged(message.mark));
        Ok(())
    }

    fn message(&mut self, user: u32, due_ns: u64) -> Message {
        let mark = Mark { publisher: self.id, number: self.next, user, due_ns };
        self.next += 1;
        Message { mark, payload: mark.payload(self.desk.message_bytes) }
    }

    /// One request and its whole answer: whether that was a yes.
    async fn ask(&mut self) -> Result<bool> {
        self.stream.write_all(&self.request).await?;
        self.answer.clear();
        loop {
            if self.stream.read_buf(&mut self.answer).await? == 0 {
                return Err(invalid("the server closed a publisher's connection".to_owned()));
            }
            let is_taken = match self.medium {
                Medium::Http => http_answer(&self.answer)?,
                // CONNACK and PUBACK both are of four bytes.
                Medium::Mqtt => (self.answer.len() >= 4).then_some(true),
            };
            if let Some(is_taken) = is_taken {
                return Ok(is_taken);
            }
        }
    }
}

/// Whether an answer is a yes, once it is whole.
fn http_answer(answer: &[u8]) -> Result<Option<bool>> {
    let Some(end) = memmem::find(answer, b"\r\n\r\n") else {
        return Ok(None);
    };
    let (head, body) = (&answer[..end], &answer[end + 4..]);
    let head = std::str::from_utf8(head).map_err(|_| invalid("no header".to_owned()))?;
    // 207 is for several of which not all were taken.
    let is_taken = head.get(9..12).is_some_and(|status| status.starts_with('2') && status != "207");
    let field = |name: &str| {
        head.lines()
            .filter_map(|line| line.split_once(": "))
            .find_map(|(field, value)| field.eq_ignore_ascii_case(name).then_some(value))
    };
    let is_whole = match field("content-length").map(str::parse::<usize>) {
        Some(Ok(length)) => body.len() >= length,
        Some(Err(_)) => return Err(invalid("no content-length".to_owned())),
        None => field("transfer-encoding").is_none() || body.ends_with(b"0\r\n\r\n"),
    };
    Ok(is_whole.then_some(is_taken))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_when_it_is_whole() {
        let whole = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(http_answer(whole).unwrap(), Some(true));
        assert_eq!(http_answer(&whole[..whole.len() - 1]).unwrap(), None);
        assert_eq!(http_answer(b"HTTP/1.1 202 Accepted\r\n\r\n").unwrap(), Some(true));
        let chunked = b"HTTP/1.1 503 No\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n";
        assert_eq!(http_answer(chunked).unwrap(), Some(false));
        assert_eq!(http_answer(&chunked[..chunked.len() - 1]).unwrap(), None);
    }
}

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;
use tetherline_protocol::limits::STREAM_INTERVAL_MS;

use super::Round;
use crate::{
    server::{RunningServer, field, post, post_lines, succeed, upgrade, user},
    wire::text,
};

/// So many streams are being written, each of somebody who watches it.
pub(super) const STREAMS: u64 = 16;

pub(super) fn word(server: &RunningServer) -> Result<Round<'_>> {
    let mut http = server.http()?;
    let mut streams = Vec::new();
    for number in 0..STREAMS as u32 {
        let user = user(number);
        let mut reader = server.connect(&upgrade(&user)?)?;
        reader.send(&text(r#"{"type":"get_pending","have":[]}"#))?;
        reader.expect("pending_check_complete")?;
        let path = format!("/v1/users/{user}/streams");
        succeed(&mut http, &post(&path, "", "{}"))?;
        reader.expect("message_start")?;
        let name = field(http.body(), "message_uuid")?;
        let mut writer = server.http()?;
        writer.write(&post_lines(&format!("{path}/{name}/1/text")))?;
        streams.push((writer, reader));
    }
    let line = chunk("{\"text\":\"word \"}\n");
    let mut last = Instant::now();
    Ok(Box::new(move || {
        // A word that comes sooner than this after the last is gathered with others, or is not: that
        // would be chance.
        let apart = Duration::from_millis(STREAM_INTERVAL_MS + 10);
        thread::sleep(apart.saturating_sub(last.elapsed()));
        last = Instant::now();
        for (writer, reader) in &mut streams {
            writer.write(&line)?;
            reader.expect("message_delta")?;
        }
        Ok(())
    }))
}

fn chunk(line: &str) -> Vec<u8> {
    format!("{:x}\r\n{line}\r\n", line.len()).into_bytes()
}

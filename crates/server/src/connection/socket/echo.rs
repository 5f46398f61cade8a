//! A peer that says what it hears, for those who test the protocol below the messages.

use std::future::poll_fn;

use super::{
    Goodbye, Read, Received, Socket,
    frame::{Frame, Opcode},
};

impl Socket {
    /// Until the peer closes, breaks the protocol, or is gone.
    pub(crate) async fn echo(mut self) {
        self.decoder.take_binary();
        let goodbye = loop {
            let echo = match poll_fn(|context| self.poll_read(context)).await {
                Read::Frame(Received::Text(text)) => Frame::message(Opcode::Text, text.into()),
                Read::Frame(Received::Binary(bytes)) => {
                    Frame::message(Opcode::Binary, bytes.into())
                }
                Read::Frame(Received::Ping(payload)) => Frame::message(Opcode::Pong, payload),
                Read::Frame(Received::Pong(_)) | Read::Some => continue,
                Read::Frame(Received::Close(code)) => break Goodbye::Answer(code),
                Read::Unreadable(code) => {
                    break Goodbye::Breach(code, "this cannot be read".into());
                }
                Read::Gone => return,
            };
            self.writer.extend([echo].into_iter());
            if self.write_all().await.is_err() {
                return;
            }
        };
        self.close(goodbye).await;
    }
}

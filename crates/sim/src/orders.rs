//! The server's part in streams: what it says when something is committed, and what becomes
//! of those that nobody ends.

use tetherline_protocol::{ErrorCode, frame::Message};
use tetherline_server::Refusal;

use crate::{
    event::Event,
    store::Operation,
    streams::{Asker, Order, Phase, Reply},
    world::World,
};

/// How often the server looks for streams that nobody ends, in ms.
const LOOK_EVERY_MS: u64 = 1_000;

impl World {
    /// What an attempt becomes is known when it ends.
    pub(crate) fn placeholder() -> Message {
        Message::parse(r#"{"type":"message_generate"}"#).expect("it is written as messages are")
    }

    /// It is durable, whether anybody hears of it or not.
    pub(crate) fn order_committed(&mut self, reply: &Reply, is_news: bool) {
        if let (Reply::Ended(publish), true) = (reply, is_news) {
            let publish = &mut self.publishes[*publish];
            (publish.answered, publish.lost) = (true, false);
        }
    }

    pub(crate) fn order_not_committed(&mut self, life: u32, order: &Order) {
        // A writer asks again, and so does the server's next look.
        if let Asker::Page(send) = order.asker {
            let refusal = Refusal::new(ErrorCode::Unavailable, "no disk");
            if let Some(claim) = self.claim_on(send) {
                self.settle(life, claim, Err(refusal));
            }
        }
    }

    pub(crate) fn order_answered(&mut self, life: u32, order: &Order, reply: &Reply) {
        let is_heard = !self.fault(12);
        if let (Reply::StopDone(stopped), Asker::Page(send)) = (reply, &order.asker) {
            self.stop_done(life, *send, *stopped);
        }
        if let Asker::Writer(writer, serial) = order.asker {
            if is_heard {
                self.note(&format!("writer {writer} hears {reply:?}"));
                self.writer_hears(writer, serial, reply);
            } else if self.fault(40) {
                self.note(&format!("writer {writer} dies before it hears {reply:?}"));
                self.writers[writer].leave();
            }
        }
    }

    /// From its start on, whether anybody opens a stream or not.
    pub(crate) fn end_overdue(&mut self, life: u32) {
        if self.server.as_ref().is_none_or(|running| running.number != life) {
            return;
        }
        self.after(LOOK_EVERY_MS, Event::Overdue { life });
        for order in self.store.overdue(self.now, &self.limits) {
            self.note(&format!("nobody ends it: {:?}", order.request));
            self.submit(Operation::Stream(order), life);
        }
    }

    /// In the end: everything of a stream is kept, and in the mailbox once it is over.
    pub(crate) fn problem_with_streams(&self) -> Option<String> {
        for (stream, &(user, history)) in self.streams.iter().enumerate() {
            let mailbox = self.store.mailbox(user);
            let Some(newest) = mailbox.streams.get(stream) else { continue };
            let current = self.store.history(user);
            if !self.store.archive().keeps(current, stream, newest) {
                return Some(format!("a{stream} of history {history} lost text in {current}"));
            }
            if !newest.is_unfinished() && !mailbox.has(newest.publish) {
                return Some(format!("a{stream} is over, and its message is not there"));
            }
            if newest.is_unfinished() && self.is_overdue(newest.phase) {
                return Some(format!("nobody ends a{stream}: {:?}", newest.phase));
            }
        }
        None
    }

    fn is_overdue(&self, phase: Phase) -> bool {
        let grace = 3 * LOOK_EVERY_MS;
        match phase {
            Phase::Open { heard_at } => self.now > heard_at + self.limits.stream_idle_ms + grace,
            Phase::Stopped { at } => self.now > at + self.limits.stream_stop_grace_ms + grace,
            Phase::Finished { .. } => false,
        }
    }
}

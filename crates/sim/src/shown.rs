//! What the server writes of streams to one connection: nothing twice, nothing out of turn.

use std::collections::BTreeMap;

use tetherline_protocol::{
    Attempt, StreamPosition,
    frame::{ClientFrame, ServerFrame},
    limits::STREAM_PIECE_BYTES_MAX,
};

use crate::{
    flight::position_in,
    streams::StreamNo,
    upstream::number,
    world::{LinkNo, World},
};

/// An attempt.
type Name = (StreamNo, Attempt);

/// One connection's view of streams.
#[derive(Debug)]
pub(crate) struct Showing {
    /// The mailbox's head when the connection opened.
    head: u64,
    /// The last position written since the client asked.
    position: u64,
    /// Something was written since then: a place that was looked up for an earlier question comes too late to count.
    is_under_way: bool,
    /// What went out of sight because it was about to end comes back when that fails, from its beginning.
    may_come_back: bool,
    wish: Wish,
}

#[derive(Debug)]
enum Wish {
    /// The client did not ask, or does not want to see streams.
    Nothing,
    /// It asked while older frames waited for the socket, which look out of turn now.
    Unclear,
    Places {
        /// Up to where each attempt was shown, here or before.
        shown: BTreeMap<Name, u64>,
        /// Where the client and the tabs behind it have said to be, and with which text.
        claims: Vec<(Name, u64, Option<u32>)>,
        /// What there was when it asked, until it is told that it has everything.
        owed: Option<BTreeMap<Name, u64>>,
    },
}

impl Showing {
    pub(crate) fn new(head: u64, may_come_back: bool) -> Self {
        Self { head, position: 0, is_under_way: false, may_come_back, wish: Wish::Nothing }
    }

    /// The session goes on from where the store says.
    pub(crate) fn located(&mut self, cursor: u64) {
        if !self.is_under_way {
            self.position = cursor;
        }
    }

    /// `there`: what is committed of all attempts.
    fn asked(&mut self, text: &str, frames_waiting: usize, there: BTreeMap<Name, u64>) {
        let Ok(ClientFrame::GetPending { after, have, .. }) = ClientFrame::parse(text) else {
            return;
        };
        self.position = after.map_or(0, tetherline_protocol::Seq::get);
        self.is_under_way = false;
        self.wish = match have {
            None => Wish::Nothing,
            Some(_) if frames_waiting > 0 => Wish::Unclear,
            Some(have) => {
                let claim = |it: &StreamPosition| {
                    ((number(&it.message_uuid), it.attempt), it.offset, it.hash)
                };
                let claims: Vec<_> =
                    have.iter().filter(|it| !it.is_only_checked).map(claim).collect();
                let shown = lowest(&claims);
                Wish::Places { shown, claims, owed: Some(there) }
            }
        };
    }

    /// Whether the client asked, and is not told yet that it has everything, as far as is known.
    pub(crate) fn owes(&self) -> bool {
        matches!(self.wish, Wish::Places { owed: Some(_), .. } | Wish::Unclear)
    }

    /// It is read what there is. What is out of sight just then comes back as news, if it does.
    pub(crate) fn looked(&mut self, is_hidden: impl Fn(&Name) -> bool) {
        if let Wish::Places { owed: Some(owed), .. } = &mut self.wish {
            owed.retain(|name, _| !is_hidden(name));
        }
    }

    /// Answers what is wrong with writing this.
    fn write(&mut self, text: &str, is_late: impl Fn(&Name) -> bool) -> Option<&'static str> {
        if let Some(seq) = position_in(text) {
            self.position = seq.get();
            self.is_under_way = true;
            return None;
        }
        let kinds = ["message_", "mailbox_gap", "pending_check_complete", "position_checked"];
        let kind = |kind: &&str| text[9..].starts_with(kind);
        if !text.starts_with(r#"{"type":""#) || !kinds.iter().any(kind) {
            return None;
        }
        match ServerFrame::parse(text).ok()? {
            ServerFrame::MailboxGap(gap) => {
                self.position = gap.next.previous().get();
                None
            }
            ServerFrame::PositionChecked(checked) => {
                if let (Wish::Places { shown, claims, .. }, false) =
                    (&mut self.wish, checked.is_known())
                {
                    shown.clear();
                    claims.clear();
                }
                None
            }
            ServerFrame::MessageLost(lost) => {
                let Wish::Places { shown, claims, .. } = &mut self.wish else { return None };
                let lost =
                    ((number(&lost.message_uuid), lost.attempt), lost.offset, Some(lost.hash));
                claims.retain(|claim| *claim != lost);
                *shown = lowest(claims);
                None
            }
            ServerFrame::MessageStart(start) => {
                let name = (number(&start.message_uuid), start.attempt);
                self.show(name, None)
            }
            ServerFrame::MessageDelta(delta) => {
                if delta.text.len() > STREAM_PIECE_BYTES_MAX || delta.text.is_empty() {
                    return Some("is too much, or nothing, at once");
                }
                let name = (number(&delta.message_uuid), delta.attempt);
                let length = delta.text.encode_utf16().count() as u64;
                self.show(name, Some((delta.offset, length)))
            }
            ServerFrame::PendingCheckComplete(_) => {
                let Wish::Places { shown, owed, .. } = &mut self.wish else { return None };
                let owed = owed.take().unwrap_or_default();
                let is_missing = |(name, length): (&Name, &u64)| {
                    is_late(name) && shown.get(name).is_none_or(|shown| shown < length)
                };
                owed.iter().any(is_missing).then_some("is not all that there was")
            }
            _ => None,
        }
    }

    fn show(&mut self, name: Name, piece: Option<(u64, u64)>) -> Option<&'static str> {
        let Wish::Places { shown, owed, .. } = &mut self.wish else {
            let is_wanted = matches!(self.wish, Wish::Unclear);
            return (!is_wanted).then_some("is not wanted");
        };
        if owed.is_some() && self.position < self.head {
            return Some("comes before what is durable");
        }
        match (piece, shown.get(&name)) {
            (None, Some(_)) if !self.may_come_back => Some("has begun before"),
            (None, _) => {
                shown.insert(name, 0);
                None
            }
            (Some((offset, length)), Some(known)) if offset == *known => {
                shown.insert(name, offset + length);
                None
            }
            (Some(_), Some(_)) => Some("is not what comes next"),
            (Some(_), None) => Some("has not begun"),
        }
    }
}

/// From the lowest place in an attempt everybody gets what they lack.
fn lowest(claims: &[(Name, u64, Option<u32>)]) -> BTreeMap<Name, u64> {
    let mut lowest = BTreeMap::new();
    for (name, offset, _) in claims {
        let known: &mut u64 = lowest.entry(*name).or_insert(*offset);
        *known = (*known).min(*offset);
    }
    lowest
}

impl World {
    /// A frame of the client is handed to the session, which may still have frames to write.
    pub(crate) fn note_places(&mut self, link: LinkNo, text: &str, frames_waiting: usize) {
        if !text.starts_with(r#"{"type":"get_pending""#) {
            return;
        }
        let user = self.links[link].user;
        let unfinished = self.store.mailbox(user).streams.unfinished();
        let there = unfinished.filter(|(stream, _)| !self.store.is_hidden(user, *stream));
        let there = there
            .map(|(stream, newest)| {
                let length = newest.text.encode_utf16().count() as u64;
                ((stream, newest.attempt), length)
            })
            .collect();
        if let Some(upstream) = &mut self.links[link].upstream {
            upstream.showing.asked(text, frames_waiting, there);
        }
    }

    pub(crate) fn check_shown(&mut self, link: LinkNo, batch: &[Option<String>]) {
        let user = self.links[link].user;
        for text in batch.iter().flatten() {
            let streams = &self.store.mailbox(user).streams;
            let is_late = |(stream, attempt): &Name| {
                let newest = streams.get(*stream).filter(|newest| newest.is_unfinished());
                newest.is_some_and(|newest| newest.attempt == *attempt)
                    && !self.store.is_hidden(user, *stream)
            };
            let Some(upstream) = &mut self.links[link].upstream else { return };
            if let Some(problem) = upstream.showing.write(text, is_late) {
                return self.fail(format!("link {link} writes {text}, which {problem}"));
            }
        }
    }
}

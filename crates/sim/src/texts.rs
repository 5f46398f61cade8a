//! What a page shows of streams: its driver's table, kept as the engine says, and looked at.

use std::{collections::BTreeMap, fmt::Write as _};

use tetherline_engine::{ConnectionNo, EpochNo, StreamDelta, StreamEnd, StreamStart};
use tetherline_protocol::{
    Attempt, MessageId,
    frame::{MessageDelta, MessageLost, MessageStart, ServerFrame},
    limits::STREAMS_KNOWN_MAX,
    utf16::TextHash,
};
use tetherline_server::Rates;

use crate::{
    Mutant,
    network::Up,
    streams::{StreamNo, uuid},
    tabs::{Post, tab_no},
    upstream::number,
    world::{LinkNo, PageNo, World},
};

/// Stream text is looked for once a second. Every other tab may have a question of its own, and a gap in the
/// answer, at which all forget their text.
const LATE_LOOKS_MAX: u32 = 4;

/// The streams that a page has seen something of.
#[derive(Default)]
pub(crate) struct Texts {
    known: BTreeMap<StreamNo, Text>,
    /// When this page lost its history and was told so.
    lost_at: Option<u64>,
    /// How many looks in a row found it behind, with nothing in its way.
    late_looks: u32,
}

pub(crate) struct Text {
    attempt: Attempt,
    units: Vec<u16>,
    is_over: bool,
}

impl Texts {
    pub(crate) fn unfinished(&self) -> impl Iterator<Item = (StreamNo, &Text)> {
        let unfinished = self.known.iter().filter(|(_, text)| !text.is_over);
        unfinished.map(|(stream, text)| (*stream, text))
    }

    /// Whether this is a beginning of what there is here.
    fn has(&self, claim: &Claim) -> bool {
        self.known.get(&claim.stream).is_some_and(|text| {
            text.attempt == claim.attempt
                && text.units.get(..claim.offset).map(hash_of) == Some(claim.hash)
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    pub(crate) fn history_lost(&mut self, now: u64) {
        self.lost_at = Some(now);
    }

    pub(crate) fn forget(&mut self, no: tetherline_engine::StreamNo) {
        self.known.remove(&(no.0 as usize));
    }

    pub(crate) fn forget_all(&mut self) {
        self.known.clear();
    }

    /// What there is, as it is said to the server or to the tab that leads.
    pub(crate) fn have(&self) -> Vec<Claim> {
        let claim = |(stream, text): (StreamNo, &Text)| {
            let (offset, hash) = (text.units.len(), hash_of(&text.units));
            Claim { stream, attempt: text.attempt, offset, hash }
        };
        self.unfinished().map(claim).collect()
    }
}

/// So much of an attempt, and the hash of that text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Claim {
    stream: StreamNo,
    attempt: Attempt,
    offset: usize,
    hash: u32,
}

fn hash_of(units: &[u16]) -> u32 {
    TextHash::of(&String::from_utf16_lossy(units)).get()
}

impl World {
    /// As `get_pending` has it: this page's own, and what others asked it to have checked.
    pub(crate) fn have(&mut self, page: PageNo) -> String {
        let own = self.pages[page].texts.have();
        let others = std::mem::take(&mut self.pages[page].tab.claims);
        let others = others.into_iter().filter(|claim| !own.contains(claim));
        let claims = own
            .iter()
            .map(|claim| (*claim, ""))
            .chain(others.map(|claim| (claim, r#","check":true"#)));
        let mut have = String::new();
        for (claim, check) in claims.take(STREAMS_KNOWN_MAX) {
            let Claim { stream, attempt, offset, hash } = claim;
            let comma = if have.is_empty() { "" } else { "," };
            // Writing to a `String` cannot fail.
            let _ = write!(
                have,
                r#"{comma}{{"message_uuid":"a{stream}","attempt":{attempt},"offset":{offset},"hash":{hash}{check}}}"#
            );
        }
        format!(r#","have":[{have}]"#)
    }

    /// Another tab asks this one. Answers whether it has something of streams that this one has
    /// not, or otherwise: then only the server can tell.
    pub(crate) fn claimed(&mut self, page: PageNo, proves: bool, have: Vec<Claim>) -> bool {
        let target = &mut self.pages[page];
        let is_in_doubt = !have.iter().all(|claim| target.texts.has(claim));
        if proves || is_in_doubt {
            for claim in have {
                let claims = &mut target.tab.claims;
                if claims.len() < STREAMS_KNOWN_MAX && !claims.contains(&claim) {
                    claims.push(claim);
                }
            }
        }
        is_in_doubt
    }

    /// What some page behind this connection has of a stream is another text than there is.
    pub(crate) fn stream_lost(
        &mut self,
        page: PageNo,
        connection: ConnectionNo,
        lost: &MessageLost,
    ) {
        let stream = number(&lost.message_uuid);
        let target = &mut self.pages[page];
        let Some(text) = target.texts.known.get(&stream) else { return };
        let offset = usize::try_from(lost.offset).unwrap_or(usize::MAX);
        let is_mine = text.units.get(..offset).is_some_and(|units| hash_of(units) == lost.hash);
        if is_mine && target.engine.handle_stream_lost(connection, no(stream), lost.attempt) {
            target.texts.known.remove(&stream);
            self.note(&format!("page {page} forgets a{stream}"));
        }
    }

    pub(crate) fn stream_begins(
        &mut self,
        page: PageNo,
        (link, connection): (LinkNo, ConnectionNo),
        frame: &MessageStart,
    ) {
        let (stream, attempt) = (number(&frame.message_uuid), frame.attempt);
        let (user, history) = (self.links[link].user, self.links[link].history);
        let target = &mut self.pages[page];
        let start = target.engine.handle_stream_start(connection, no(stream), attempt);
        let known = target.texts.known.get(&stream);
        let problem = match start {
            StreamStart::Begin => {
                let starts_over = known.is_some_and(|text| attempt <= text.attempt);
                let text = Text { attempt, units: Vec::new(), is_over: false };
                target.texts.known.insert(stream, text);
                self.note(&format!("page {page} shows attempt {attempt} at a{stream}"));
                let is_committed = self.store.has_had(user, (history, stream, attempt), &[]);
                if starts_over {
                    Some("starts over")
                } else if !is_committed {
                    Some("is not committed")
                } else {
                    None
                }
            }
            StreamStart::Known => {
                let is_there = known.is_some_and(|text| text.attempt == attempt && !text.is_over);
                (!is_there).then_some("is not there")
            }
            StreamStart::Drop => None,
        };
        if let Some(problem) = problem {
            self.fail(format!("page {page} shows attempt {attempt} at a{stream}, which {problem}"));
        }
    }

    pub(crate) fn stream_goes_on(
        &mut self,
        page: PageNo,
        (link, connection): (LinkNo, ConnectionNo),
        frame: &MessageDelta,
    ) {
        let (stream, attempt) = (number(&frame.message_uuid), frame.attempt);
        let piece: Vec<u16> = frame.text.encode_utf16().collect();
        let (offset, length) = (frame.offset, piece.len() as u64);
        let (user, history) = (self.links[link].user, self.links[link].history);
        let target = &mut self.pages[page];
        let delta =
            target.engine.handle_stream_delta(connection, no(stream), attempt, offset, length);
        let StreamDelta::Append { skip } = delta else { return };
        let is_right = |text: &&mut Text| {
            text.attempt == attempt && !text.is_over && text.units.len() as u64 == offset + skip
        };
        let Some(text) = target.texts.known.get_mut(&stream).filter(is_right) else {
            return self.fail(format!(
                "page {page} adds {offset}+{skip} to attempt {attempt} at a{stream}, where it does \
                 not belong"
            ));
        };
        let from = text.units.len();
        text.units.extend(piece.iter().skip(skip as usize));
        let splits = text.units[from..].first().is_some_and(|unit| is_low(*unit))
            || text.units.last().is_some_and(|unit| is_high(*unit));
        // All of it: what it had may be of a history that was replaced.
        let name = (history, stream, attempt);
        let is_committed = self.store.has_had(user, name, &text.units);
        let to = text.units.len();
        self.note(&format!("page {page} shows a{stream} up to {to}"));
        if splits {
            self.fail(format!("page {page} splits a surrogate pair of a{stream}"));
        } else if !is_committed {
            self.fail(format!(
                "page {page} shows {from} to {to} of attempt {attempt} at a{stream}, which is not \
                 what is committed"
            ));
        }
    }

    /// The message has come that an attempt became, delivered now or not.
    pub(crate) fn stream_ends(
        &mut self,
        page: PageNo,
        connection: ConnectionNo,
        (uuid, attempt): &(MessageId, Attempt),
    ) {
        let (stream, attempt) = (number(uuid), *attempt);
        let target = &mut self.pages[page];
        let end = target.engine.handle_stream_end(connection, no(stream), attempt);
        if end == StreamEnd::Drop {
            return;
        }
        let known = target.texts.known.remove(&stream);
        let is_late = known.as_ref().is_some_and(|text| {
            text.attempt > attempt || (text.attempt == attempt && text.is_over)
        });
        let shown = known.filter(|text| text.attempt == attempt);
        let units = shown.map_or_else(Vec::new, |text| text.units);
        target.texts.known.insert(stream, Text { attempt, units, is_over: true });
        self.note(&format!("page {page} sees the end of attempt {attempt} at a{stream}"));
        if is_late {
            self.fail(format!("page {page} ends attempt {attempt} at a{stream} a second time"));
        }
    }

    /// The engine says that all text is of a history that is no more, or of somebody who is gone.
    pub(crate) fn streams_dropped(&mut self, page: PageNo) {
        self.note(&format!("page {page} forgets all streams"));
        let target = &mut self.pages[page];
        let has_no_proof = target.tab.joined.is_some() && !target.reading.can_prove;
        let is_due =
            !target.is_signed_in() || target.texts.lost_at == Some(self.now) || has_no_proof;
        target.texts.forget_all();
        if !is_due {
            self.fail(format!("page {page} forgets all streams for no reason"));
        }
    }

    /// A tab has asked the leading one: what that shows of streams may have passed before it joined.
    /// One that leads no more, or in another history, shows others nothing, and nothing is put behind what
    /// the asker has otherwise.
    pub(crate) fn tell_texts(
        &mut self,
        page: PageNo,
        asker: PageNo,
        epoch: EpochNo,
        have: &[Claim],
    ) {
        let target = &self.pages[page];
        let leading = target
            .tab
            .established
            .filter(|(link, established)| target.link == Some(*link) && established.epoch == epoch);
        let Some((link, _)) = leading.filter(|_| self.shows_streams) else { return };
        if self.mutant == Some(Mutant::AskNotAnsweredWithTexts) {
            return;
        }
        let mut frames = Vec::new();
        let texts = &self.pages[page].texts;
        for (stream, Text { attempt, units, .. }) in texts.unfinished() {
            let is_theirs = |claim: &&Claim| claim.stream == stream && claim.attempt == *attempt;
            if !have.iter().find(is_theirs).is_none_or(|claim| texts.has(claim)) {
                continue;
            }
            frames.push(format!(
                r#"{{"type":"message_start","message_uuid":"a{stream}","attempt":{attempt}}}"#
            ));
            if !units.is_empty() {
                let text = String::from_utf16_lossy(units).into();
                let (message_uuid, attempt) = (uuid(stream), *attempt);
                let delta = MessageDelta { message_uuid, attempt, offset: 0, text };
                frames.extend(ServerFrame::MessageDelta(delta).to_text());
            }
        }
        for text in frames {
            self.post(page, Some(tab_no(asker)), &Post::Frame { link, text });
        }
    }

    /// Nothing has to come first, no connection is broken, and still the newest text does not come.
    pub(crate) fn check_promptness(&mut self) {
        // Where little may be replayed, text comes in its turn behind what other pages asked for.
        if self.rates.replay_bytes_per_user != Rates::default().replay_bytes_per_user {
            return;
        }
        for page in 0..self.pages.len() {
            let is_late = self.pages[page].is_open()
                && self.pages[page].is_signed_in()
                && self.has_good_connection(page)
                && self.problem_with_messages(page).is_none()
                && self.problem_with_texts(page).is_some();
            let looks_max = LATE_LOOKS_MAX + self.tabs_beside(page);
            let looks = &mut self.pages[page].texts.late_looks;
            *looks = if is_late { *looks + 1 } else { 0 };
            if *looks > looks_max {
                let problem = self.problem_with_texts(page).unwrap_or_default();
                self.fail(format!("for {looks_max} s already, {problem}"));
            }
        }
    }

    fn has_good_connection(&self, page: PageNo) -> bool {
        let target = &self.pages[page];
        let through = target.tab.joined.and(target.tab.welcomed).map(|(link, _)| link);
        let Some(link) = target.link.or(through).map(|link| &self.links[link]) else {
            return false;
        };
        // The messages before it come first, if only for the page that leads, and wait for an
        // acknowledgement where no more may be under way.
        let is_free = link.upstream.as_ref().is_some_and(|end| {
            let next = self.store.mailbox(link.user).message(end.flight.last() + 1);
            let is_full = next.is_some_and(|(_, delivery)| {
                end.flight.is_full_for(delivery.text.len(), &self.limits)
            });
            // What is asked waits behind sends for which there is no room.
            let is_heard = !end.unread.iter().any(Up::asks);
            end.busy_until <= self.now && is_heard && !(is_full && end.showing.owes())
        });
        let is_whole = link.up.is_open() && link.down.is_open() && is_free;
        is_whole && self.is_connected(page) && self.server.is_some()
    }

    /// In the end: a page shows all that there is of unfinished streams, and none as such that is over.
    pub(crate) fn problem_with_texts(&self, page: PageNo) -> Option<String> {
        if !self.shows_streams {
            return None;
        }
        let target = &self.pages[page];
        let streams = &self.store.mailbox(target.user).streams;
        let shown = &target.texts.known;
        for (stream, newest) in streams.unfinished() {
            let is_whole = shown.get(&stream).is_some_and(|text| {
                text.attempt == newest.attempt
                    && !text.is_over
                    && newest.text.encode_utf16().eq(text.units.iter().copied())
            });
            // Not mended: it saw an end that is lost, and proved a position before that, or one that
            // retention has taken since.
            let saw_its_end_elsewhere = self.store.was_replaced(target.user)
                && shown
                    .get(&stream)
                    .is_some_and(|text| text.is_over && text.attempt >= newest.attempt);
            if !is_whole && !saw_its_end_elsewhere {
                let attempt = newest.attempt;
                return Some(format!("page {page} lacks some of attempt {attempt} at a{stream}"));
            }
        }
        let is_stale = |(stream, _): &(StreamNo, &Text)| {
            streams.get(*stream).is_none_or(|newest| !newest.is_unfinished())
        };
        let (stream, _) = target.texts.unfinished().find(is_stale)?;
        Some(format!("page {page} shows a{stream} as unfinished, and it is over"))
    }
}

fn no(stream: StreamNo) -> tetherline_engine::StreamNo {
    tetherline_engine::StreamNo(u32::try_from(stream).expect("few streams"))
}

fn is_high(unit: u16) -> bool {
    (0xD800..0xDC00).contains(&unit)
}

fn is_low(unit: u16) -> bool {
    (0xDC00..0xE000).contains(&unit)
}

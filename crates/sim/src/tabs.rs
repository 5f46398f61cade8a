//! The tabs of a browser profile: its locks, and the channels between its pages.

use std::collections::{BTreeMap, VecDeque};

use tetherline_engine::{
    ConnectionNo, EpochNo, Established, IdNo, Mark, SendNo as OutboxNo, TabMessage, TabNo,
};
use tetherline_protocol::{Seq, frame::ServerFrame};

use crate::{
    event::Event,
    page::Page,
    store::DeviceNo,
    texts::Claim,
    world::{LinkNo, PageNo, SendNo, UserNo, World},
};

/// The pages of one profile in which the same person may be signed in.
type Profile = (UserNo, DeviceNo);

/// What profiles have in common, and their pages share.
#[derive(Default)]
pub(crate) struct Profiles {
    locks: BTreeMap<Profile, Lock>,
    /// When the last message from one page to another arrives, or what a page hears of the lock.
    arrivals: BTreeMap<(PageNo, PageNo), u64>,
}

#[derive(Default)]
struct Lock {
    holder: Option<PageNo>,
    waiting: VecDeque<PageNo>,
}

/// What a page knows of the others of its profile.
#[derive(Default)]
pub(crate) struct Tab {
    /// It takes part.
    pub(crate) shares: bool,
    /// Its open channel: what was under way to an earlier one is lost.
    pub(crate) channel: Option<u32>,
    /// How many channels it has opened.
    pub(crate) channels: u32,
    pub(crate) is_visible: bool,
    pub(crate) has_others: bool,
    /// Names the last request for the lock; any other that is granted is stale.
    pub(crate) request: u32,
    /// The way to the server through the tab that leads.
    pub(crate) joined: Option<(ConnectionNo, PageNo)>,
    /// Sends of other pages that go by way of this one, by the engine's number.
    pub(crate) passed_on: BTreeMap<u32, SendNo>,
    /// What the server said on this page's own connection.
    pub(crate) established: Option<(LinkNo, Established)>,
    /// What the last welcome said, and the leading page's link.
    pub(crate) welcomed: Option<(LinkNo, Established)>,
    /// What other pages have of streams, to be checked with the next question.
    pub(crate) claims: Vec<Claim>,
}

/// What pages post.
#[derive(Debug, Clone)]
pub(crate) enum Post {
    Message(TabMessage),
    Welcome {
        link: LinkNo,
        established: Established,
        /// Where the leading page is, and which message it has there.
        position: Option<Mark>,
        to_all: bool,
    },
    Frame {
        link: LinkNo,
        text: String,
    },
    /// By way of this link of the leading page, and of no later one: what was sent before may be
    /// lost with it, and goes first on the next.
    Out {
        link: LinkNo,
        send: SendNo,
    },
    Ask {
        after: Mark,
        epoch: EpochNo,
        /// Where it is.
        at: Mark,
        /// What it has of streams.
        have: Vec<Claim>,
    },
}

impl World {
    fn profile(&self, page: PageNo) -> Profile {
        (self.pages[page].user, self.pages[page].device)
    }

    /// How many others share this page's connection.
    pub(crate) fn tabs_beside(&self, page: PageNo) -> u32 {
        let is_beside = |other: &PageNo| {
            let Page { tab, .. } = &self.pages[*other];
            *other != page && tab.channel.is_some() && self.profile(*other) == self.profile(page)
        };
        u32::try_from((0..self.pages.len()).filter(is_beside).count()).expect("few pages")
    }

    pub(crate) fn request_lock(&mut self, page: PageNo, steal: bool) {
        let profile = self.profile(page);
        self.pages[page].tab.request += 1;
        let request = self.pages[page].tab.request;
        let lock = self.profiles.locks.entry(profile).or_default();
        lock.waiting.retain(|waiting| *waiting != page);
        let robbed = lock.holder.filter(|holder| steal && *holder != page);
        if steal || lock.holder.is_none() {
            lock.holder = Some(page);
            self.tell_of_lock(page, true);
        } else {
            lock.waiting.push_back(page);
        }
        self.note(&format!("page {page} asks for the lock (request {request}, steals: {steal})"));
        if let Some(robbed) = robbed {
            self.tell_of_lock(robbed, false);
        }
    }

    /// The page is done with the lock, or gone.
    pub(crate) fn release_lock(&mut self, page: PageNo) {
        let profile = self.profile(page);
        self.pages[page].tab.request += 1;
        self.pages[page].tab.channel = None;
        let lock = self.profiles.locks.entry(profile).or_default();
        lock.waiting.retain(|waiting| *waiting != page);
        if lock.holder == Some(page) {
            lock.holder = lock.waiting.pop_front();
            if let Some(next) = lock.holder {
                self.tell_of_lock(next, true);
            }
        }
    }

    fn tell_of_lock(&mut self, page: PageNo, granted: bool) {
        let request = self.pages[page].tab.request;
        let at = self.arrival(page, page, 10);
        self.at(at, Event::Lock { page, request, granted });
    }

    /// When something that goes from one page to another now arrives: it overtakes nothing.
    fn arrival(&mut self, from: PageNo, to: PageNo, delay_max: u64) -> u64 {
        let at = self.now + self.delay(0, delay_max);
        let last = self.profiles.arrivals.entry((from, to)).or_default();
        *last = (*last).max(at);
        *last
    }

    pub(crate) fn lock(&mut self, page: PageNo, request: u32, granted: bool) {
        if !self.pages[page].is_open()
            || self.waits(page, Event::Lock { page, request, granted }).is_none()
            || self.pages[page].tab.request != request
        {
            return;
        }
        let now = self.instant(page);
        if granted {
            self.note(&format!("page {page} has the lock"));
            self.pages[page].engine.handle_lock(now);
        } else {
            self.note(&format!("page {page} has lost the lock"));
            self.pages[page].engine.handle_lock_lost(now);
        }
        self.drain(page);
    }

    pub(crate) fn join(&mut self, page: PageNo, connection: ConnectionNo, leader: TabNo) {
        let Some((link, established)) = self.pages[page].tab.welcomed else { return };
        let leader = leader.0 as usize - 1;
        self.note(&format!("page {page} joins page {leader}"));
        self.pages[page].tab.joined = Some((connection, leader));
        let (epoch, cursor) = (established.epoch.0 - 1, established.cursor.seq.get());
        self.established(page, link, epoch, None, cursor);
        let now = self.instant(page).as_millis();
        self.pages[page].connected_at.get_or_insert(now);
    }

    /// Forgets the way through the tab that leads, if it is this one.
    pub(crate) fn unjoin(&mut self, page: PageNo, connection: ConnectionNo) {
        self.pages[page].tab.joined.take_if(|(joined, _)| *joined == connection);
    }

    pub(crate) fn welcome(
        &mut self,
        page: PageNo,
        to: Option<TabNo>,
        (head, cursor): (Seq, Seq),
        position: Option<Mark>,
    ) {
        let Some((link, established)) = self.pages[page].tab.established else { return };
        let acknowledged = self.pages[page].reading.acknowledged;
        if cursor.get() < acknowledged {
            self.fail(format!(
                "page {page} welcomes with {cursor} and has acknowledged {acknowledged}"
            ));
        }
        let established = Established { head, cursor: cursor.into(), ..established };
        let welcome = Post::Welcome { link, established, position, to_all: to.is_none() };
        self.post(page, to, &welcome);
    }

    /// What a page asks the leading one.
    pub(crate) fn question(&self, page: PageNo, after: Mark, epoch: EpochNo) -> Post {
        let Page { engine, texts, .. } = &self.pages[page];
        let at = Mark { seq: engine.position().unwrap_or_default(), id: engine.position_id() };
        Post::Ask { after, epoch, at, have: texts.have() }
    }

    /// To every other page of the profile that listens now, or to one of them.
    pub(crate) fn post(&mut self, page: PageNo, to: Option<TabNo>, post: &Post) {
        let profile = self.profile(page);
        for other in 0..self.pages.len() {
            let target = &self.pages[other];
            let Some(channel) = target.tab.channel else { continue };
            let listens = target.is_open() && target.is_signed_in();
            if other == page || !listens || self.profile(other) != profile {
                continue;
            }
            let is_meant = to.is_none_or(|to| to == tab_no(other));
            let at = self.arrival(page, other, 15);
            let post = is_meant.then(|| post.clone());
            self.at(at, Event::Posted { from: page, to: other, channel, post });
        }
    }

    /// `post` is `None` if it was meant for another page.
    pub(crate) fn posted(&mut self, from: PageNo, to: PageNo, channel: u32, post: Option<Post>) {
        let target = &mut self.pages[to];
        if !target.is_open() || target.tab.channel != Some(channel) {
            return;
        }
        let Some(Event::Posted { post, .. }) =
            self.waits(to, Event::Posted { from, to, channel, post })
        else {
            return;
        };
        self.pages[to].tab.has_others = true;
        let Some(post) = post else { return };
        let now = self.instant(to);
        let target = &mut self.pages[to];
        match post {
            Post::Message(TabMessage::SignedOut) => {
                self.signed_out_elsewhere(to);
                self.pages[to].engine.handle_tab(tab_no(from), TabMessage::SignedOut, now);
            }
            Post::Message(message) => {
                target.refusal_is_due |= message == TabMessage::Refused;
                target.engine.handle_tab(tab_no(from), message, now);
            }
            Post::Welcome { link, established, position, to_all } => {
                let (joined, welcomed) = (target.tab.joined, target.tab.welcomed);
                target.tab.welcomed = Some((link, established));
                target.engine.handle_welcome(tab_no(from), established, position, to_all, now);
                self.drain(to);
                let tab = &mut self.pages[to].tab;
                if tab.joined == joined {
                    // It keeps to the way that it has.
                    tab.welcomed = welcomed;
                }
            }
            Post::Frame { link, text } => {
                if let Some((connection, leader)) = target.tab.joined
                    && leader == from
                {
                    match ServerFrame::parse(&text) {
                        Ok(frame) => self.receive_frame(to, link, connection, &frame, text.len()),
                        Err(error) => self.fail(format!("a page passes on {text}: {error}")),
                    }
                }
            }
            Post::Out { link, send } => {
                // One that its page has given up and sends again is still under way here.
                let is_under_way = target.tab.passed_on.values().any(|passed| *passed == send);
                if target.tab.established.is_some_and(|(established, _)| established == link)
                    && target.link == Some(link)
                    && !is_under_way
                    && let Some(OutboxNo(outbox_no)) = target.engine.pass_on(send, now)
                {
                    target.tab.passed_on.insert(outbox_no, send);
                }
            }
            Post::Ask { after, epoch, at, have } => {
                self.tell_texts(to, from, epoch, &have);
                let is_in_doubt = self.claimed(to, after.id != IdNo::NONE, have);
                let engine = &mut self.pages[to].engine;
                engine.handle_ask(after, epoch, now);
                if is_in_doubt && after.id == IdNo::NONE && at.id != IdNo::NONE {
                    engine.handle_ask(at, epoch, now);
                }
            }
        }
        self.drain(to);
    }

    /// What the server says goes to the other tabs too, once there are any.
    pub(crate) fn pass_on(&mut self, page: PageNo, link: LinkNo, text: &str) {
        if self.pages[page].tab.has_others && self.pages[page].link == Some(link) {
            self.post(page, None, &Post::Frame { link, text: text.into() });
        }
    }

    /// A ping, a question or a send, by the way through the tab that leads. False if there is none.
    pub(crate) fn send_through(&mut self, page: PageNo, post: &Post) -> bool {
        let Some((_, leader)) = self.pages[page].tab.joined else { return false };
        self.post(page, Some(tab_no(leader)), post);
        true
    }

    pub(crate) fn ping(&mut self, page: PageNo) {
        if !self.send_through(page, &Post::Message(TabMessage::Ping)) {
            self.transmit(page, r#"{"type":"ping"}"#.into());
        }
    }

    /// Whether a settled send was another page's, which hears of it by itself.
    pub(crate) fn was_passed_on(&mut self, page: PageNo, OutboxNo(outbox_no): OutboxNo) -> bool {
        self.pages[page].tab.passed_on.remove(&outbox_no).is_some()
    }

    pub(crate) fn say_through(&mut self, page: PageNo, send: SendNo) -> bool {
        let link = self.pages[page].tab.welcomed.map_or(0, |(link, _)| link);
        self.send_through(page, &Post::Out { link, send })
    }

    fn signed_out_elsewhere(&mut self, page: PageNo) {
        self.note(&format!("page {page} is signed out by another"));
        self.remember_what_was_handled(page);
        self.pages[page].forget_sign_in();
    }

    pub(crate) fn glance(&mut self, page: PageNo) {
        let is_visible = !self.pages[page].tab.is_visible;
        self.note(&format!("page {page} is visible: {is_visible}"));
        self.pages[page].tab.is_visible = is_visible;
        let now = self.instant(page);
        let engine = &mut self.pages[page].engine;
        engine.set_visible(is_visible, now);
        if is_visible {
            engine.wake(now);
        }
        self.drain(page);
    }

    /// In the end every profile that shares has one connection.
    pub(crate) fn problem_with_sharing(&self) -> Option<String> {
        let mut leaders = BTreeMap::new();
        for (number, page) in self.pages.iter().enumerate() {
            if !page.tab.shares || !page.is_open() || !page.is_signed_in() || page.link.is_none() {
                continue;
            }
            if let Some(other) = leaders.insert(self.profile(number), number) {
                return Some(format!("pages {other} and {number} have a connection each"));
            }
        }
        None
    }
}

pub(crate) fn tab_no(page: PageNo) -> TabNo {
    TabNo(u32::try_from(page).expect("few pages") + 1)
}

/// The driver's number for a send of another page.
pub(crate) const UNKNOWN: OutboxNo = OutboxNo(0);

impl Tab {
    pub(crate) fn open_channel(&mut self) {
        self.channels += 1;
        self.channel = Some(self.channels);
    }
}

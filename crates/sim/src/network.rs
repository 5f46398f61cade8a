//! Connections: latency, cuts, silence, and never a frame out of order.

use tetherline_engine::ConnectionNo;
use tetherline_server::simulation::{Seat, Session};

use crate::{
    store::DeviceNo,
    upstream::UNANNOUNCED,
    world::{Event, LinkNo, PageNo, UserNo, World},
};

/// One attempt at a connection, from a page to the server.
pub(crate) struct Link {
    pub(crate) page: PageNo,
    pub(crate) connection: ConnectionNo,
    pub(crate) user: UserNo,
    pub(crate) device: DeviceNo,
    pub(crate) token: Token,
    /// The device's cursor at the moment when the server looked it up.
    pub(crate) truth: u64,
    pub(crate) is_slow: bool,
    pub(crate) up: Direction,
    pub(crate) down: Direction,
    pub(crate) seat: Option<Seat>,
    pub(crate) upstream: Option<Upstream>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Token {
    pub(crate) user: UserNo,
    pub(crate) expires_at: u64,
    pub(crate) revoked: bool,
}

/// One direction of a connection.
pub(crate) struct Direction {
    latency: u64,
    last_arrival: u64,
    state: Way,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Open,
    /// Nothing more goes in, what is under way arrives.
    Closed,
    /// What is under way is lost too.
    Dead,
}

/// What a page sends.
#[derive(Debug)]
pub(crate) enum Up {
    Text(String),
    Pong,
    Close,
}

/// What a page gets.
#[derive(Debug)]
pub(crate) enum Down {
    Opened,
    Text(String),
    Ping,
    Closed(u16),
}

/// The server's end, as its driver keeps it.
pub(crate) struct Upstream {
    pub(crate) session: Session,
    pub(crate) unread: std::collections::VecDeque<Up>,
    pub(crate) alarm: u64,
    pub(crate) job: u32,
    pub(crate) saving: bool,
    /// It ends, once what was acknowledged is saved; with this close code; 1006 if nobody said why.
    pub(crate) ending: Option<u16>,
}

impl Direction {
    pub(crate) fn new(latency: u64) -> Self {
        Self { latency, last_arrival: 0, state: Way::Open }
    }

    pub(crate) fn delivers(&self) -> bool {
        self.state != Way::Dead
    }

    pub(crate) fn close(&mut self) {
        if self.state == Way::Open {
            self.state = Way::Closed;
        }
    }

    pub(crate) fn kill(&mut self) {
        self.state = Way::Dead;
    }

    /// When what is sent now arrives, if it is sent at all.
    fn arrival(&mut self, now: u64, jitter: u64) -> Option<u64> {
        if self.state != Way::Open {
            return None;
        }
        self.last_arrival = self.last_arrival.max(now + self.latency + jitter);
        Some(self.last_arrival)
    }
}

impl World {
    pub(crate) fn send_up(&mut self, link: LinkNo, frame: Up) {
        let jitter = self.delay(0, 30);
        if let Some(at) = self.links[link].up.arrival(self.now, jitter) {
            self.at(at, Event::Up { link, frame });
        }
    }

    pub(crate) fn send_down(&mut self, link: LinkNo, frame: Down) {
        let jitter = self.delay(0, 30);
        if let Some(at) = self.links[link].down.arrival(self.now, jitter) {
            self.at(at, Event::Down { link, frame });
        }
    }

    /// The connection breaks: both ends hear of it, sooner or later, and some of what is under way
    /// is lost.
    pub(crate) fn cut(&mut self, link: LinkNo) {
        self.note(&format!("link {link} is cut"));
        let (up, down) = (self.random.percent(60), self.random.percent(60));
        let (gone, closed) = (self.delay(1, 3_000), self.delay(1, 3_000));
        let arrival = self.links[link].up.last_arrival.max(self.now + gone);
        self.at(arrival, Event::Gone { link });
        if !down {
            // In its order, after what is under way.
            self.send_down(link, Down::Closed(UNANNOUNCED));
        }
        let target = &mut self.links[link];
        if up {
            target.up.kill();
        } else {
            target.up.close();
        }
        target.down.close();
        if down {
            target.down.kill();
            self.after(closed, Event::Lost { link });
        }
    }

    /// Bytes vanish both ways and nobody is told.
    pub(crate) fn half_open(&mut self, link: LinkNo) {
        self.note(&format!("link {link} is half open"));
        self.links[link].up.kill();
        self.links[link].down.kill();
    }
}

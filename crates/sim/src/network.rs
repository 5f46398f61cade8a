//! Connections: latency, cuts, silence, and never a frame out of order.

use tetherline_engine::ConnectionNo;
use tetherline_server::simulation::{Seat, Session};

use crate::{
    event::Event,
    flight::Flight,
    shown::Showing,
    store::DeviceNo,
    tokens::Token,
    upstream::UNANNOUNCED,
    world::{LinkNo, PageNo, UserNo, World},
};

/// One attempt at a connection, from a page to the server.
pub(crate) struct Link {
    pub(crate) page: PageNo,
    pub(crate) connection: ConnectionNo,
    pub(crate) user: UserNo,
    pub(crate) device: DeviceNo,
    pub(crate) token: Token,
    /// What the server reads to it.
    pub(crate) history: u32,
    /// The device's cursor at the moment when the server looked it up.
    pub(crate) truth: u64,
    /// The last acknowledgement that the store failed to keep.
    pub(crate) unsaved: u64,
    pub(crate) is_slow: bool,
    /// It ended before it reached the server.
    pub(crate) is_strangers: bool,
    pub(crate) up: Direction,
    pub(crate) down: Direction,
    pub(crate) seat: Option<Seat>,
    pub(crate) upstream: Option<Upstream>,
}

/// One direction of a connection.
pub(crate) struct Direction {
    latency: u64,
    last_arrival: u64,
    /// Frames that arrive from here on were torn, or are behind one that was. In ms.
    torn_at: u64,
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

impl Up {
    /// Whether it asks for what waits.
    pub(crate) fn asks(&self) -> bool {
        matches!(self, Self::Text(text) if text.starts_with(r#"{"type":"get_pending""#))
    }
}

/// What a page gets.
#[derive(Debug)]
pub(crate) enum Down {
    Opened,
    Text(String),
    Ping,
    Closed { code: u16, retry_after_ms: Option<u64> },
}

/// The server's end, as its driver keeps it.
pub(crate) struct Upstream {
    pub(crate) session: Session,
    pub(crate) unread: std::collections::VecDeque<Up>,
    pub(crate) alarm: u64,
    pub(crate) job: u32,
    /// Counts the looks at streams; only the last one is waited for.
    pub(crate) look: u32,
    pub(crate) flight: Flight,
    pub(crate) showing: Showing,
    /// Until then the socket takes nothing.
    pub(crate) busy_until: u64,
    /// When the peer last took something of what is written.
    pub(crate) taken_at: u64,
    /// The last token that was checked.
    pub(crate) renewing: Token,
    /// Counts the look-ups of new tokens; only the last one is waited for.
    pub(crate) look_up: u32,
}

impl Down {
    pub(crate) fn closed(code: u16) -> Self {
        Self::Closed { code, retry_after_ms: None }
    }
}

impl Direction {
    pub(crate) fn new(latency: u64) -> Self {
        Self { latency, last_arrival: 0, torn_at: u64::MAX, state: Way::Open }
    }

    pub(crate) fn delivers(&self, now: u64) -> bool {
        self.state != Way::Dead && now < self.torn_at
    }

    pub(crate) fn is_open(&self) -> bool {
        self.state == Way::Open
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

    /// The connection breaks: both ends hear of it, sooner or later. What is under way arrives, is
    /// lost, or is lost from the middle of some frame on.
    pub(crate) fn cut(&mut self, link: LinkNo) {
        self.note(&format!("link {link} is cut"));
        let (up, down) = (self.random.below(3), self.random.below(3));
        let (gone, closed) = (self.delay(1, 3_000), self.delay(1, 3_000));
        let arrival = self.links[link].up.last_arrival.max(self.now + gone);
        self.at(arrival, Event::Gone { link });
        if down == 0 {
            // In its order, after what is under way.
            self.send_down(link, Down::closed(UNANNOUNCED));
        }
        let tears = [self.tear(&self.links[link].up), self.tear(&self.links[link].down)];
        let [torn_up, torn_down] = tears.map(|(low, high)| self.random.within(low, high));
        let target = &mut self.links[link];
        for (way, how, torn_at) in
            [(&mut target.up, up, torn_up), (&mut target.down, down, torn_down)]
        {
            match how {
                0 => way.close(),
                1 => way.kill(),
                _ => {
                    way.close();
                    way.torn_at = torn_at;
                }
            }
        }
        match down {
            0 => {}
            1 => self.after(closed, Event::Lost { link }),
            _ => self.at(torn_down, Event::Lost { link }),
        }
    }

    /// Between which moments of what is under way a connection may tear.
    fn tear(&self, way: &Direction) -> (u64, u64) {
        (self.now, way.last_arrival.max(self.now))
    }

    /// Bytes vanish both ways and nobody is told.
    pub(crate) fn half_open(&mut self, link: LinkNo) {
        self.note(&format!("link {link} is half open"));
        self.links[link].up.kill();
        self.links[link].down.kill();
    }
}

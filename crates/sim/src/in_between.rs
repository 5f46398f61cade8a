//! What stands between pages and server, and for a while answers in its place: a proxy during a
//! deploy, a login page, a gateway that ends sockets itself.

use tetherline_engine::{ConnectionNo, ProbeAnswer};

use crate::{
    event::Event,
    network::Down,
    upstream::UNANNOUNCED,
    world::{LinkNo, PageNo, World},
};

/// It answers so until it lets everything through again; what is connected stays so.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InBetween {
    status: u16,
    /// It takes upgrades, and then closes with this code.
    closes_with: Option<u16>,
}

impl World {
    pub(crate) fn step_in_between(&mut self) {
        if self.in_between.is_some() {
            return;
        }
        let status = [200, 302, 401, 403, 404, 407, 426, 502][self.random.below(8)];
        let closes_with = self.random.percent(30).then(|| [4401, 4403, 1008][self.random.below(3)]);
        self.note(&format!("somebody in between answers {status}, {closes_with:?}"));
        self.in_between = Some(InBetween { status, closes_with });
        let lasts = self.random.within(500, 20_000);
        self.after(lasts, Event::StepAside);
    }

    pub(crate) fn step_aside(&mut self) {
        if self.in_between.take().is_some() {
            self.note("nobody is in between any more");
        }
    }

    /// Whether somebody in between has answered this upgrade.
    pub(crate) fn is_turned_away(&mut self, link: LinkNo) -> bool {
        let Some(InBetween { closes_with, .. }) = self.in_between else { return false };
        self.links[link].is_strangers = true;
        if closes_with.is_some() {
            self.send_down(link, Down::Opened);
        }
        self.send_down(link, Down::closed(closes_with.unwrap_or(UNANNOUNCED)));
        true
    }

    pub(crate) fn probed_in_between(&mut self, page: PageNo, connection: ConnectionNo) {
        let Some(InBetween { status, .. }) = self.in_between else { return };
        let answer = ProbeAnswer::of(status, None, None);
        let now = self.instant(page);
        self.stranger_speaks = true;
        self.pages[page].engine.handle_probe(connection, answer, now);
        self.drain(page);
        self.stranger_speaks = false;
    }
}

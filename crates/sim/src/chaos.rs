//! What goes wrong, and when it stops.

use std::collections::VecDeque;

use crate::{
    event::Event,
    world::{PageNo, World},
};

/// Longer than a send may wait.
const A_DAY_AND_MORE_MS: u64 = 25 * 60 * 60 * 1_000;

impl World {
    /// The next thing that somebody does or that breaks.
    pub(crate) fn chaos(&mut self) {
        if self.quiet {
            return;
        }
        let gap = if self.random.percent(30) { 2_000 } else { 300 };
        let delay = self.random.within(1, gap);
        self.after(delay, Event::Chaos);
        let page = self.random.below(self.pages.len());
        let user = self.random.below(self.users.len());
        match self.random.below(100) {
            0..20 => self.publish(user),
            20..25 => self.disturb_writers(user),
            25..28 => self.say(user),
            28..31 => (0..self.random.within(5, 30)).for_each(|_| self.publish(user)),
            31..35 => self.crash(),
            35 => self.start_draining(),
            36..38 => self.store.back_up(),
            38 => self.upkeep(user),
            39 if self.pages[page].is_signed_in() => self.sign_out_on_server(page),
            _ if !self.pages[page].is_open() => self.reopen(page),
            41..57 => self.send(page),
            57..60 => self.press_stop(page),
            60..63 => (0..self.random.within(3, 12)).for_each(|_| self.send(page)),
            63..70 => self.on_link(page, Self::cut),
            70..75 => self.on_link(page, Self::half_open),
            75..78 => self.on_link(page, |world, link| world.links[link].is_slow = true),
            78..83 => self.reload(page),
            83..86 => self.switch_user(page, user),
            86..89 => self.request_pending(page),
            89..93 if self.pages[page].is_signed_in() => self.read_histories(page),
            93..95 => self.freeze(page),
            95..97 => self.go_offline(page),
            97 if self.random.percent(50) => self.step_in_between(),
            97 => self.leap_somewhere(page),
            98 => self.too_much(page, user),
            99 if self.pages[page].tab.shares => self.glance(page),
            _ => self.blink(page),
        }
    }

    /// From here on nothing breaks any more.
    pub(crate) fn calm_down(&mut self) {
        self.note("the faults stop");
        self.quiet = true;
        self.step_aside();
        for page in 0..self.pages.len() {
            if self.pages[page].is_offline {
                self.back_online(page);
            }
            if self.pages[page].frozen.is_some() {
                self.thaw(page);
            }
        }
        for link in &mut self.links {
            link.is_slow = false;
        }
    }

    fn on_link(&mut self, page: PageNo, fault: fn(&mut Self, usize)) {
        if let Some(link) = self.pages[page].link {
            fault(self, link);
        }
    }

    fn reload(&mut self, page: PageNo) {
        let (user, device) = (self.pages[page].user, self.pages[page].device);
        // It may keep its outbox over a reload.
        let keeps = self.random.percent(50) && self.pages[page].is_signed_in();
        let unsent = if keeps { self.take_unsent(page) } else { Vec::new() };
        self.close_page(page);
        if self.random.percent(70) {
            self.open_page(user, device, unsent);
        }
    }

    fn reopen(&mut self, page: PageNo) {
        let open = self.pages.iter().filter(|page| page.is_open()).count();
        if open < 6 {
            let (user, mut device) = (self.pages[page].user, self.pages[page].device);
            if self.random.percent(15) {
                // A private window, another computer.
                device = self.random.below(6);
            }
            self.open_page(user, device, Vec::new());
        }
    }

    fn switch_user(&mut self, page: PageNo, user: usize) {
        self.sign_out(page);
        if self.random.percent(80) {
            self.sign_in(page, user);
        }
    }

    fn leap_somewhere(&mut self, page: PageNo) {
        let by = match self.random.below(3) {
            0 => A_DAY_AND_MORE_MS,
            _ => self.random.within(100, 120_000),
        };
        self.leap(page, by);
        if self.random.percent(50) {
            let now = self.instant(page);
            self.pages[page].engine.wake(now);
            self.drain(page);
        }
    }

    /// Sometimes another one, while the first is still being filled up.
    fn read_histories(&mut self, page: PageNo) {
        self.read_history(page);
        if self.random.percent(40) {
            self.read_history(page);
        }
    }

    fn upkeep(&mut self, user: usize) {
        match self.random.below(5) {
            0 => self.erase(user),
            _ => self.trim(user),
        }
    }

    /// More than fits somewhere, rarely: it takes its time.
    fn too_much(&mut self, page: PageNo, user: usize) {
        match self.random.below(200) {
            0 => self.flood(page),
            1..4 => (0..30).for_each(|_| self.publish_sized(user, 1, 50_000)),
            _ => {}
        }
    }

    fn request_pending(&mut self, page: PageNo) {
        self.note(&format!("page {page} requests what is pending"));
        let now = self.instant(page);
        self.pages[page].engine.request_pending(now);
        self.drain(page);
    }

    fn freeze(&mut self, page: PageNo) {
        if self.pages[page].frozen.is_none() {
            self.note(&format!("page {page} is frozen"));
            self.pages[page].frozen = Some(VecDeque::new());
            let delay = self.random.within(100, 120_000);
            self.after(delay, Event::Thaw { page });
        }
    }

    fn go_offline(&mut self, page: PageNo) {
        self.note(&format!("page {page} is offline"));
        self.pages[page].is_offline = true;
        self.on_link(page, Self::half_open);
        if self.random.percent(70) {
            let now = self.instant(page);
            self.pages[page].engine.set_online(false, now);
            self.drain(page);
        }
        let delay = self.random.within(100, 10_000);
        self.after(delay, Event::Online { page });
    }

    /// The system says that something happened where nothing did.
    fn blink(&mut self, page: PageNo) {
        let now = self.instant(page);
        let online = self.random.percent(50);
        self.pages[page].engine.set_online(online, now);
        self.drain(page);
    }
}

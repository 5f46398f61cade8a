//! One connection for all tabs of a user: who leads, and how the others take part.
//!
//! The tab that holds the lock leads: it has the socket, and passes every frame on to the others.
//! For these the leading tab is what the server is for it: they ask it for what waits, ping it, and
//! send through it. Each has its own position, and drops what it already had: a tab may join,
//! change its leader or become one, and no handler notices. The device's acknowledgements are the
//! leading tab's.

use core::mem;

use tetherline_protocol::{
    CloseCode,
    limits::{ELECTION_TIMEOUT_MS, HANDOVER_GRACE_MS, LEADER_CHECK_MS, TAKEOVER_AFTER_MS},
};

use super::{Engine, Established, State, Trust, Via, Wait, link::LATE_MS};
use crate::{
    EpochNo, Instant, Lead, Mark, Output, Phase, TABS_VERSION, TabMessage, TabNo, WaitReason,
    reader::Standpoint,
    tabs::{Company, Tabs},
    timer::Timer,
};

/// Tabs.
impl<P> Engine<P> {
    /// As [`Engine::sign_in`], for one of several tabs that share one connection.
    pub fn sign_in_among_tabs(&mut self, is_visible: bool, now: Instant) {
        self.now = now;
        if self.is_idle() {
            self.trust = Trust::Good;
            self.backoff.reset();
            self.tabs = Some(Tabs {
                is_visible,
                leader_will_do: true,
                is_taking_over: false,
                company: Company::None,
            });
            self.elect();
        }
        self.report();
    }

    /// Whether somebody can see this tab.
    pub fn set_visible(&mut self, is_visible: bool, now: Instant) {
        self.now = now;
        if let Some(tabs) = self.tabs.as_mut() {
            tabs.is_visible = is_visible;
            self.announce();
            self.consider_takeover();
        }
    }

    /// The lock is granted: this tab leads.
    pub fn handle_lock(&mut self, now: Instant) {
        self.now = now;
        if self.is_led() {
            self.stay_calm();
            self.drop_connection(CloseCode::Normal);
            self.stop_tab_timers();
            self.resolve(0);
            self.announce();
        }
        self.report();
    }

    /// The lock was taken by another tab, which leads now.
    pub fn handle_lock_lost(&mut self, now: Instant) {
        self.now = now;
        if self.leads() {
            match self.tabs.as_mut().map(|tabs| &mut tabs.company) {
                Some(company) if *company != Company::Heard => *company = Company::Silent,
                _ => self.yield_lead(),
            }
        }
        self.report();
    }

    /// Another tab has said something.
    pub fn handle_tab(&mut self, from: TabNo, message: TabMessage, now: Instant) {
        self.now = now;
        let company = self.tabs.as_mut().map(|tabs| &mut tabs.company);
        let was_silent = company.map(|company| mem::replace(company, Company::Heard));
        if was_silent == Some(Company::Silent) && self.leads() {
            self.yield_lead();
        }
        match message {
            TabMessage::Hello if self.leads() => self.answer_hello(from),
            // It does not lead any more, whatever it has said since: it was frozen meanwhile.
            TabMessage::Hello if self.leader() == Some(from) => self.check_leader(),
            TabMessage::Ping if self.leads() && self.is_connected() => {
                self.outputs.push_back(Output::Post(Some(from), TabMessage::Pong));
            }
            TabMessage::TryNow if self.leads() => self.wake(now),
            TabMessage::Pong if self.is_joined_to(from) => self.heard = true,
            TabMessage::Lead(lead) if self.is_led() => self.hear_lead(from, lead),
            TabMessage::Refused if self.is_led() => self.nobody_is_signed_in(),
            TabMessage::SignedOut if self.tabs.is_some() => {
                self.leave(now);
                self.outputs.push_back(Output::SignedOutElsewhere);
            }
            _ => {}
        }
        self.report();
    }

    /// The tab that leads is connected. Equal epochs have equal numbers. `position` is where that tab
    /// is; `None` if its server checks none.
    pub fn handle_welcome(
        &mut self,
        from: TabNo,
        established: Established,
        position: Option<Mark>,
        is_for_all: bool,
        now: Instant,
    ) {
        self.now = now;
        let is_known = !is_for_all && self.is_joined_to(from);
        if !self.is_led() || is_known || self.is_led_by_another(from) {
            return;
        }
        self.drop_connection(CloseCode::Normal);
        let connection = self.next_connection();
        self.outputs.push_back(Output::Join(connection, from));
        self.connected(connection, established, Standpoint::Tab(position), Via::Tab(from));
        self.consider_takeover();
    }

    /// Another tab needs what comes after a position, and shows with its message that this is one of
    /// this mailbox, if it has to.
    pub fn handle_ask(&mut self, after: Mark, epoch: EpochNo, now: Instant) {
        self.now = now;
        if self.leads()
            && self.is_connected()
            && let Some(resume) = self.reader.rewind(after, epoch)
        {
            self.ask(&resume);
        }
    }
}

impl<P> Engine<P> {
    /// Tells the other tabs how the leading one is doing, if that is this one.
    pub(super) fn announce(&mut self) {
        let (Some(tabs), true) = (self.tabs, self.leads()) else { return };
        let phase = match self.state {
            State::Connected { .. } => Phase::Connected,
            State::Waiting { attempt, wait: Wait { until, reason } } => {
                Phase::Waiting { attempt, retry_in_ms: until.millis_since(self.now), reason }
            }
            // What older tabs take for a short wait.
            _ if self.is_refused() => Phase::Waiting {
                attempt: self.attempts(),
                retry_in_ms: 0,
                reason: WaitReason::Refused,
            },
            _ => Phase::Connecting { attempt: self.attempts() },
        };
        let lead = Lead { version: TABS_VERSION, visible: tabs.is_visible, phase };
        self.outputs.push_back(Output::Post(None, TabMessage::Lead(lead)));
    }

    pub(super) fn welcome(&mut self, to: Option<TabNo>) {
        let (head, cursor) = (self.reader.head(), self.reader.cursor());
        let position = self.reader.mark();
        self.outputs.push_back(Output::Welcome { to, head, cursor, position });
    }

    /// Whether this tab has a connection through another one.
    pub(super) fn is_joined(&self) -> bool {
        matches!(self.state, State::Connected { via: Via::Tab(_), .. })
    }

    pub(super) fn try_now_elsewhere(&mut self, leader: TabNo) {
        self.outputs.push_back(Output::Post(Some(leader), TabMessage::TryNow));
    }

    /// Whoever leads is not connected; from time to time it is looked whether it is there at all.
    pub(super) fn check_leader(&mut self) {
        if let Some(tabs) = self.tabs.as_mut() {
            tabs.is_taking_over = false;
        }
        self.outputs.push_back(Output::Post(None, TabMessage::Hello));
        self.timers.start(Timer::Election, self.now + ELECTION_TIMEOUT_MS);
        self.timers.set(Timer::Heartbeat, self.now + LEADER_CHECK_MS);
    }

    pub(super) fn election_over(&mut self, due: Instant) {
        if self.now.millis_since(due) > LATE_MS {
            self.check_leader();
        } else if self.tabs.is_some_and(|tabs| tabs.is_taking_over) {
            // Locks are there and say nothing.
            self.handle_lock(self.now);
        } else {
            self.take_over();
        }
    }

    /// Whoever leads does not, or should not.
    pub(super) fn take_over(&mut self) {
        self.outputs.push_back(Output::Lock { steal: true });
        self.timers.set(Timer::Election, self.now + ELECTION_TIMEOUT_MS);
        if let Some(tabs) = self.tabs.as_mut() {
            tabs.is_taking_over = true;
        }
    }

    /// The tab that leads has not answered in time.
    pub(super) fn leader_silent(&mut self) {
        self.drop_connection(CloseCode::Silent);
        self.end_connection();
        self.state = State::Electing;
        self.take_over();
    }

    /// While a connection only moves from tab to tab, nobody has to see it as lost.
    fn stay_calm(&mut self) {
        if self.is_connected() {
            self.timers.set(Timer::Handover, self.now + HANDOVER_GRACE_MS);
        }
    }

    fn yield_lead(&mut self) {
        self.push_ack(true);
        self.stay_calm();
        self.drop_connection(CloseCode::Normal);
        self.elect();
    }

    fn elect(&mut self) {
        self.end_connection();
        self.state = State::Electing;
        self.outputs.push_back(Output::Lock { steal: false });
        self.check_leader();
    }

    fn answer_hello(&mut self, from: TabNo) {
        if self.is_connected() && self.reader.is_proved() {
            self.welcome(Some(from));
        }
        self.announce();
    }

    fn hear_lead(&mut self, from: TabNo, lead: Lead) {
        if lead.phase == Phase::Connected && self.is_led_by_another(from) {
            return;
        }
        self.stop_election();
        match lead.phase {
            // A welcome is on its way, or was here.
            Phase::Connected if self.leader() == Some(from) => {}
            Phase::Connected => {
                self.follow(from, 0, None);
                self.outputs.push_back(Output::Post(Some(from), TabMessage::Hello));
            }
            Phase::Connecting { attempt } => self.follow(from, attempt, None),
            Phase::Waiting { attempt, retry_in_ms, reason } => {
                let wait = Wait { until: self.now + retry_in_ms, reason };
                self.follow(from, attempt, Some(wait));
            }
        }
        if let Some(tabs) = self.tabs.as_mut() {
            tabs.leader_will_do = lead.visible && lead.version >= TABS_VERSION;
        }
        self.consider_takeover();
    }

    fn follow(&mut self, leader: TabNo, attempt: u32, wait: Option<Wait>) {
        if !self.is_joined_to(leader) {
            self.stay_calm();
        }
        self.drop_connection(CloseCode::Normal);
        self.end_connection();
        self.state = State::Following { leader, attempt, wait };
        self.timers.set(Timer::Heartbeat, self.now + LEADER_CHECK_MS);
    }

    fn consider_takeover(&mut self) {
        let Some(tabs) = self.tabs else { return };
        if self.is_led() && tabs.is_visible && !tabs.leader_will_do {
            self.timers.start(Timer::Takeover, self.now + TAKEOVER_AFTER_MS);
        } else {
            self.timers.stop(Timer::Takeover);
        }
    }

    pub(super) fn stop_tab_timers(&mut self) {
        self.stop_election();
        self.timers.stop(Timer::Takeover);
    }

    fn stop_election(&mut self) {
        self.timers.stop(Timer::Election);
        if let Some(tabs) = self.tabs.as_mut() {
            tabs.is_taking_over = false;
        }
    }

    /// Whether another tab leads, or may.
    fn is_led(&self) -> bool {
        matches!(self.state, State::Electing | State::Following { .. }) || self.is_joined()
    }

    /// Whether it is known, and not in doubt, that another tab leads. Whoever comes after that one says
    /// so before it is connected; one that is at once was frozen, and answers what it was asked before
    /// the lock was taken from it.
    fn is_led_by_another(&self, than: TabNo) -> bool {
        self.leader().is_some_and(|leader| leader != than)
            && !self.timers.is_running(Timer::Election)
    }

    /// The tab that leads, as far as this one knows, if it is another.
    fn leader(&self) -> Option<TabNo> {
        match self.state {
            State::Following { leader, .. } | State::Connected { via: Via::Tab(leader), .. } => {
                Some(leader)
            }
            _ => None,
        }
    }

    pub(super) fn leads(&self) -> bool {
        self.tabs.is_some() && !self.is_led()
    }

    fn is_joined_to(&self, leader: TabNo) -> bool {
        matches!(self.state, State::Connected { via: Via::Tab(tab), .. } if tab == leader)
    }

    fn is_connected(&self) -> bool {
        matches!(self.state, State::Connected { .. })
    }
}

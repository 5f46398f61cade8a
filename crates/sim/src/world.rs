//! Everything that exists in a run, and the clock.

use std::{cmp::Reverse, collections::BinaryHeap, sync::Arc};

use tetherline_protocol::{Limits, UserId, frame::Message, limits::REFUSED_BACKOFF_CAP_MS};
use tetherline_server::{Rate, Rates, store::EventQueue};

use crate::{
    Mutant,
    event::{Event, Scheduled},
    ids::Ids,
    in_between::InBetween,
    network::Link,
    page::Page,
    random::Random,
    sends::Send,
    server::Life,
    store::{DeviceNo, Store},
    tabs::Profiles,
    trace::Trace,
    writers::Writer,
};

pub(crate) type UserNo = usize;
pub(crate) type PageNo = usize;
pub(crate) type LinkNo = usize;
pub(crate) type PublishNo = usize;
pub(crate) type SendNo = usize;

/// How long the faults go on, in ms.
const CHAOS_MS: (u64, u64) = (5_000, 60_000);
/// After the last fault everything has this long to converge, in ms: a dead link is noticed by the
/// client within 40 s and by the server within 90 s, the backoff adds 30 s and a handler that never
/// settles 30 s, and a token that was refused is followed by another after 5 min.
const CONVERGENCE_MS: u64 = 150_000 + REFUSED_BACKOFF_CAP_MS;
/// How often it is looked whether it has.
const LOOK_EVERY_MS: u64 = 1_000;
/// More would be a loop: what is noted, and what happens.
const STEPS_MAX: u64 = 400_000;
const EVENTS_MAX: u64 = 4_000_000;

#[expect(clippy::struct_excessive_bools, reason = "each says something else about a run")]
pub(crate) struct World {
    pub(crate) now: u64,
    pub(crate) random: Random,
    pub(crate) mutant: Option<Mutant>,
    pub(crate) limits: Arc<Limits>,
    pub(crate) rates: Rates,
    pub(crate) users: Vec<UserId>,
    pub(crate) pages: Vec<Page>,
    /// The pages of a profile share one connection.
    pub(crate) tabs_share: bool,
    pub(crate) profiles: Profiles,
    pub(crate) links: Vec<Link>,
    pub(crate) server: Option<Life>,
    /// Who answers in the server's place, if anybody does.
    pub(crate) in_between: Option<InBetween>,
    /// A page hears somebody who is not the server.
    pub(crate) stranger_speaks: bool,
    pub(crate) lives: u32,
    pub(crate) store: Store,
    pub(crate) publishes: Vec<Publish>,
    pub(crate) contents: Vec<(UserId, Message)>,
    pub(crate) sends: Vec<Send>,
    pub(crate) writers: Vec<Writer>,
    /// Whose each stream is, and in which history it began.
    pub(crate) streams: Vec<(UserNo, u32)>,
    /// Whether pages want to see streams.
    pub(crate) shows_streams: bool,
    pub(crate) quiet: bool,
    pub(crate) trace: Trace,
    pub(crate) failure: Option<String>,
    /// Messages that pages handled which are closed now, and when those pages ended.
    pub(crate) earlier: Vec<Earlier>,
    /// Which sign-ins the server has ended.
    pub(crate) ended_sign_ins: Vec<bool>,
    /// How many live-only messages there were.
    pub(crate) said: u64,
    pub(crate) ids: Ids,
    /// What the store tells, until somebody hears it.
    pub(crate) events: EventQueue,
    queue: BinaryHeap<Reverse<Scheduled>>,
    scheduled: u64,
}

/// What an ended page of a device had handled.
pub(crate) struct Earlier {
    pub(crate) user: UserNo,
    pub(crate) device: DeviceNo,
    pub(crate) history: u32,
    pub(crate) ended_at: u64,
    pub(crate) handled: std::collections::BTreeSet<u64>,
}

/// A message that somebody publishes until it is answered.
pub(crate) struct Publish {
    pub(crate) user: UserNo,
    /// 0 for the type with handlers everywhere, 1 for the one whose handlers come late.
    pub(crate) kind: usize,
    pub(crate) answered: bool,
    /// A backup was restored that does not have it.
    pub(crate) lost: bool,
}

impl World {
    pub(crate) fn new(seed: u64, mutant: Option<Mutant>) -> Self {
        let mut random = Random::new(seed);
        let mut limits = Limits::default();
        if random.percent(50) {
            limits.in_flight_messages_max = random.within(1, 12) as usize;
            limits.in_flight_bytes_max = random.within(200, 4_000) as usize;
            limits.sends_waiting_max = random.within(1, 6) as usize;
        }
        if random.percent(30) {
            limits.devices_max = random.within(1, 3) as usize;
            limits.live_messages_max = random.within(1, 8) as usize;
        }
        // In some runs nobody ends what a writer has left: it stays to the end, for all to see.
        if random.percent(50) {
            limits.stream_idle_ms = random.within(3_000, 20_000);
        }
        limits.stream_stop_grace_ms = random.within(500, 8_000);
        let (shows_streams, hides_early) = (random.percent(90), random.percent(50));
        let users = (0..random.within(1, 2))
            .map(|user| format!("u{user}").parse().expect("a letter and a number are an id"))
            .collect::<Vec<UserId>>();
        let store = Store::new(users.len(), &limits, hides_early, mutant);
        let tabs_share = random.percent(60);
        let mut world = Self {
            now: 1_000,
            random,
            mutant,
            limits: Arc::new(limits),
            rates: rates(seed),
            users,
            pages: Vec::new(),
            tabs_share,
            profiles: Profiles::default(),
            links: Vec::new(),
            server: None,
            in_between: None,
            stranger_speaks: false,
            lives: 0,
            store,
            publishes: Vec::new(),
            contents: Vec::new(),
            sends: Vec::new(),
            writers: Vec::new(),
            streams: Vec::new(),
            shows_streams,
            quiet: false,
            trace: Trace::new(),
            failure: None,
            earlier: Vec::new(),
            ended_sign_ins: Vec::new(),
            said: 0,
            ids: Ids::default(),
            events: EventQueue::default(),
            queue: BinaryHeap::new(),
            scheduled: 0,
        };
        world.restart();
        for user in 0..world.users.len() {
            for device in 0..world.random.within(1, 2) as usize {
                for _ in 0..world.random.within(1, 2) {
                    world.open_page(user, device, Vec::new());
                }
            }
        }
        world.after(10, Event::Chaos);
        let chaos = world.random.within(CHAOS_MS.0, CHAOS_MS.1);
        world.after(chaos, Event::Quiet);
        world
    }

    /// Lets time pass until everything has had its time to converge.
    pub(crate) fn run(&mut self) {
        let (mut end, mut next_look, mut events) = (u64::MAX, 0, 0);
        while self.failure.is_none() {
            let Some(Reverse(next)) = self.queue.pop() else { break };
            if next.at > end {
                break;
            }
            self.now = next.at;
            self.handle(next.event);
            if self.quiet && end == u64::MAX {
                end = self.now + CONVERGENCE_MS;
            }
            if self.quiet && self.now >= next_look {
                next_look = self.now + LOOK_EVERY_MS;
                self.check_promptness();
                if self.what_is_missing().is_none() {
                    return;
                }
            }
            events += 1;
            if self.trace.steps() > STEPS_MAX || events > EVENTS_MAX {
                self.fail("it goes round in circles".into());
            }
        }
        if self.failure.is_none()
            && let Some(missing) = self.what_is_missing()
        {
            self.fail(missing);
        }
    }

    pub(crate) fn after(&mut self, delay: u64, event: Event) {
        self.at(self.now + delay, event);
    }

    pub(crate) fn at(&mut self, at: u64, event: Event) {
        self.scheduled += 1;
        self.queue.push(Reverse(Scheduled { at, order: self.scheduled, event }));
    }

    pub(crate) fn note(&mut self, text: &str) {
        self.trace.note(self.now, text);
    }

    /// An invariant does not hold. The first time counts.
    pub(crate) fn fail(&mut self, problem: String) {
        self.note(&format!("BROKEN: {problem}"));
        self.failure.get_or_insert(problem);
    }

    /// A delay, shorter once the faults are over.
    pub(crate) fn delay(&mut self, low: u64, high: u64) -> u64 {
        let high = if self.quiet { high.min(low + 20) } else { high };
        self.random.within(low, high)
    }

    /// Whether this fault happens now.
    pub(crate) fn fault(&mut self, percent: u64) -> bool {
        !self.quiet && self.random.percent(percent)
    }

    pub(crate) fn handle(&mut self, event: Event) {
        match event {
            Event::Chaos => self.chaos(),
            Event::Quiet => self.calm_down(),
            Event::Attempt { publish } => self.attempt(publish),
            Event::Commit { life } => self.commit(life),
            Event::Answered { life, answer } => self.answered(life, answer),
            Event::Decide { life, send, claim } => self.decide(life, send, claim),
            Event::Settle { life, claim, outcome } => self.settle(life, claim, outcome),
            Event::Known { life, link, outcome } => self.known(life, link, outcome),
            Event::Begin { life, link, send } => self.begin_again(life, link, send),
            Event::Renew { life, claim } => self.renew(life, claim),
            Event::Write { writer, serial } => self.write(writer, serial),
            Event::Resume { writer, serial } => self.resume_writing(writer, serial),
            Event::Told { life } => self.hub_hears(life),
            Event::SaveCursors { life } => self.save_cursors(life),
            Event::Overdue { life } => self.end_overdue(life),
            Event::Restart => self.restart(),
            Event::Drained { life } => self.drained(life),
            Event::Handshake { link } => self.handshake(link),
            Event::Located { link } => self.accept(link),
            Event::Up { link, frame } => self.came_up(link, frame),
            Event::Gone { link } => self.hang_up(link),
            Event::Progress { link } => self.progressed(link),
            Event::Written { link } => self.written(link),
            Event::LookedUp { link, look_up, token, stands } => {
                self.looked_up(link, look_up, token, stands);
            }
            Event::SessionTimer { link, at } => self.session_timer(link, at),
            Event::Wake { link } => self.woken(link),
            Event::Read { link, job, read_no, epoch, after, room, page } => {
                self.have_read(link, job, (read_no, &epoch, after, room), page);
            }
            Event::Resumed { link, job, read_no, after, room, resumed } => {
                self.have_resumed(link, job, (read_no, after, room), resumed);
            }
            Event::Place { link } => self.place(link),
            Event::StreamsRead { link, look, places, snapshot } => {
                self.have_read_streams(link, look, &places, snapshot);
            }
            Event::Down { link, frame } => self.came_down(link, frame),
            Event::Lost { link } => self.lost(link),
            Event::PageTimer { page, at } => self.page_timer(page, at),
            Event::Token { page, request, fresh } => self.token(page, request, fresh),
            Event::StepAside => self.step_aside(),
            Event::Probe { page, connection, link } => self.probed(page, connection, link),
            Event::HandlerSettles { page, generation, seq, call } => {
                self.handler_settles(page, generation, seq, call);
            }
            Event::HandlerRegisters { page } => self.handler_registers(page),
            Event::SignInAgain { page, generation } => self.sign_in_again(page, generation),
            Event::Lock { page, request, granted } => self.lock(page, request, granted),
            Event::Posted { from, to, channel, post } => {
                self.posted(from, to, channel, post);
            }
            Event::Thaw { page } => self.thaw(page),
            Event::Online { page } => self.back_online(page),
            Event::Restore { page, generation, unsent } => {
                self.restore(page, generation, &unsent);
            }
        }
    }
}

/// In some runs people are soon too fast. A draw of its own, and in no run of `tests/seeds.rs`: what was
/// found there is to be found again.
fn rates(seed: u64) -> Rates {
    let mut rates = Rates::default();
    let mut random = Random::new((!seed).wrapping_add(15));
    if !random.percent(12) {
        return rates;
    }
    let mut rate = |per_second, more| {
        let of = |count| u32::try_from(count).unwrap_or(u32::MAX);
        let per_second = random.within(per_second, 2 * per_second);
        // Less at once than in a second, and whoever comes back after a second finds no more than that.
        let at_once = random.within(per_second, per_second + more);
        Some(Rate::per_second(of(per_second)).at_once(of(at_once)))
    };
    rates.sends_per_connection = rate(20, 20);
    rates.sends_per_user = rate(30, 40);
    rates.send_bytes_per_connection = rate(8_000, 4_000);
    rates.controls_per_connection = rate(40, 100);
    rates.replay_bytes_per_connection = rate(40_000, 80_000);
    rates.replay_bytes_per_user = rate(80_000, 160_000);
    rates.controls_per_user = rate(60, 200);
    rates
}

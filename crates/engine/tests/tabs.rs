//! Several tabs, one connection: stories between two or three engines and the server.

use std::iter;

use tetherline_engine::{
    ConnectionNo, Delivery, Engine, EpochNo, Established, IdNo, Instant, Lead, NoToken, Output,
    Phase, ProbeAnswer, SendOutcome, Status, TABS_VERSION, TabMessage, TabNo, WaitReason,
};
use tetherline_protocol::{
    Seq,
    limits::{
        ELECTION_TIMEOUT_MS, HANDOVER_GRACE_MS, LEADER_CHECK_MS, PONG_TIMEOUT_MS, TAKEOVER_AFTER_MS,
    },
};

const EPOCH: EpochNo = EpochNo(1);
const HEARTBEAT_MS: u64 = 30_000;
const LEADER: TabNo = TabNo(1);
const OTHER: TabNo = TabNo(2);
const NEWS: Delivery = Delivery::Deliver { replayed: false };
const OLD: Delivery = Delivery::Deliver { replayed: true };

struct Tab {
    engine: Engine<&'static str>,
    now: Instant,
}

impl Tab {
    fn new() -> Self {
        Self { engine: Engine::new(1), now: Instant::from_millis(1_000) }
    }

    /// Signed in, and the lock asked for.
    fn electing() -> Self {
        let mut tab = Self::new();
        tab.engine.sign_in_among_tabs(true, tab.now);
        let outputs = tab.outputs();
        assert!(outputs.contains(&Output::Lock { steal: false }), "{outputs:?}");
        assert!(outputs.contains(&Output::Post(None, TabMessage::Hello)), "{outputs:?}");
        tab
    }

    /// It has the lock and a socket.
    fn leading(head: u64, cursor: u64) -> (Self, ConnectionNo) {
        let mut tab = Self::electing();
        let connection = tab.lead(head, cursor);
        tab.engine.handle_complete(connection, tab.now);
        tab.outputs();
        (tab, connection)
    }

    fn lead(&mut self, head: u64, cursor: u64) -> ConnectionNo {
        self.engine.handle_lock(self.now);
        self.engine.handle_token(self.now);
        let connection = self.opened();
        self.engine.handle_opened(connection, self.now);
        self.engine.handle_established(connection, established(head, cursor), self.now);
        connection
    }

    fn opened(&mut self) -> ConnectionNo {
        let open = |output| match output {
            Output::Open(connection) => Some(connection),
            _ => None,
        };
        self.outputs().into_iter().find_map(open).expect("an attempt")
    }

    /// It has joined a tab that leads.
    fn joined(head: u64, cursor: u64) -> (Self, ConnectionNo) {
        let mut tab = Self::electing();
        let connection = tab.join(LEADER, head, cursor);
        tab.outputs();
        (tab, connection)
    }

    /// Another tab comes to lead, and connects.
    fn join(&mut self, leader: TabNo, head: u64, cursor: u64) -> ConnectionNo {
        self.hear(leader, true, Phase::Connecting { attempt: 0 });
        self.engine.handle_welcome(leader, established(head, cursor), None, false, self.now);
        let connection = self.engine.last_joined().expect("it joins");
        self.hear(leader, true, Phase::Connected);
        connection
    }

    fn hear(&mut self, leader: TabNo, visible: bool, phase: Phase) {
        self.hear_version(TABS_VERSION, leader, visible, phase);
    }

    fn hear_version(&mut self, version: u32, leader: TabNo, visible: bool, phase: Phase) {
        let lead = TabMessage::Lead(Lead { version, visible, phase });
        self.engine.handle_tab(leader, lead, self.now);
    }

    fn outputs(&mut self) -> Vec<Output> {
        iter::from_fn(|| self.engine.poll_output()).collect()
    }

    fn message(&mut self, connection: ConnectionNo, number: u64) -> Delivery {
        self.engine.handle_message(connection, Some(seq(number).into()), 1, 100)
    }

    fn pass(&mut self, millis: u64) {
        let until = self.now + millis;
        while let Some(at) = self.engine.poll_timeout().filter(|&at| at <= until) {
            self.now = self.now.max(at);
            self.engine.handle_timeout(self.now);
        }
        self.now = until;
    }
}

trait LastJoined {
    fn last_joined(&mut self) -> Option<ConnectionNo>;
}

impl LastJoined for Engine<&'static str> {
    fn last_joined(&mut self) -> Option<ConnectionNo> {
        iter::from_fn(|| self.poll_output())
            .filter_map(|output| match output {
                Output::Join(connection, _) => Some(connection),
                _ => None,
            })
            .last()
    }
}

fn seq(number: u64) -> Seq {
    Seq::new(number).expect("a position below 2^53")
}

fn established(head: u64, cursor: u64) -> Established {
    Established {
        epoch: EPOCH,
        head: seq(head),
        cursor: seq(cursor).into(),
        checks_positions: false,
        heartbeat_interval_ms: HEARTBEAT_MS,
        token_expires_in_ms: 3_600_000,
    }
}

fn get_pending(after: u64) -> Output {
    Output::GetPending { after: seq(after).into(), proves: false, epoch: EPOCH }
}

#[test]
fn only_the_tab_with_the_lock_asks_for_a_token_and_opens_a_socket() {
    let mut follower = Tab::electing();
    follower.hear(LEADER, true, Phase::Connecting { attempt: 0 });
    follower.pass(LEADER_CHECK_MS);
    let outputs = follower.outputs();
    let opens = |output: &&Output| matches!(output, Output::ResolveToken { .. } | Output::Open(_));
    assert_eq!(outputs.iter().find(opens), None);
    assert_eq!(follower.engine.status(), Status::Connecting);
}

#[test]
fn a_tab_that_joins_is_welcomed_with_what_the_device_has_acknowledged_by_now() {
    // The cursor of `connection_established` is as old as the connection: a tab that started there
    // would call its handlers again with what this device has handled long ago.
    let (mut leader, connection) = Tab::leading(3, 2);
    for number in 3..=70 {
        leader.message(connection, number);
    }
    leader.pass(1_000);
    leader.outputs();
    leader.engine.handle_tab(OTHER, TabMessage::Hello, leader.now);
    let outputs = leader.outputs();
    let welcome =
        Output::Welcome { to: Some(OTHER), head: seq(70), cursor: seq(70), position: None };
    assert!(outputs.contains(&welcome), "{outputs:?}");
}

#[test]
fn every_tab_has_its_own_position_and_no_frame_of_anothers_replay_disturbs_it() {
    let (mut follower, connection) = Tab::joined(10, 4);
    assert_eq!(
        follower.message(connection, 11),
        Delivery::Drop,
        "what comes first is still to come"
    );
    for number in 5..=10 {
        assert_eq!(follower.message(connection, number), OLD);
    }
    assert_eq!(follower.message(connection, 11), NEWS);
    assert_eq!(follower.message(connection, 8), Delivery::Drop, "a third tab has asked from 7");
    assert_eq!(follower.message(connection, 12), NEWS);
    assert_eq!(follower.outputs(), [], "nothing of all that is a gap, or acknowledged here");
}

#[test]
fn a_tab_that_asks_again_does_not_take_what_comes_meanwhile_for_the_answer() {
    // Found by the simulator: having asked a second time, a tab expected its answer next, and took
    // what another tab had asked for as the end of a hole.
    let (mut follower, connection) = Tab::joined(10, 4);
    follower.engine.request_pending(follower.now);
    assert_eq!(follower.outputs(), [get_pending(4)]);
    assert_eq!(follower.message(connection, 9), Delivery::Drop);
    assert_eq!(follower.outputs(), []);
    assert_eq!(follower.message(connection, 5), OLD);
}

#[test]
fn the_leading_tab_asks_for_what_another_lacks_and_for_nothing_that_comes_anyway() {
    let (mut leader, connection) = Tab::leading(10, 4);
    for number in 5..=10 {
        leader.message(connection, number);
    }
    leader.outputs();
    leader.engine.handle_ask(seq(10).into(), EPOCH, leader.now);
    leader.engine.handle_ask(seq(1).into(), EpochNo(9), leader.now);
    assert_eq!(leader.outputs(), [], "a position of another history says nothing");
    leader.engine.handle_ask(seq(6).into(), EPOCH, leader.now);
    assert_eq!(leader.outputs(), [get_pending(6)]);
    leader.engine.handle_ask(seq(8).into(), EPOCH, leader.now);
    for number in 7..=10 {
        leader.message(connection, number);
    }
    leader.engine.handle_complete(connection, leader.now);
    assert_eq!(leader.outputs(), []);
}

#[test]
fn one_question_waits_for_the_answer_to_another() {
    // Found by the simulator, twice: a question that came before the stream had turned to another
    // called the server away from it, so that one tab missed what it had asked for, and one that had
    // just joined took the jump for a hole.
    let (mut leader, connection) = Tab::leading(40, 32);
    for number in 33..=40 {
        leader.message(connection, number);
    }
    leader.outputs();
    leader.engine.handle_ask(seq(18).into(), EPOCH, leader.now);
    assert_eq!(leader.outputs(), [get_pending(18)]);
    for number in 19..=30 {
        leader.message(connection, number);
    }
    for after in [25, 20, 32] {
        leader.engine.handle_ask(seq(after).into(), EPOCH, leader.now);
    }
    assert_eq!(leader.outputs(), []);
    for number in 31..=40 {
        leader.message(connection, number);
    }
    leader.engine.handle_complete(connection, leader.now);
    assert_eq!(leader.outputs(), [get_pending(20)], "the earliest of all");
    leader.engine.handle_complete(connection, leader.now);
    assert_eq!(leader.outputs(), []);
}

#[test]
fn what_is_handled_is_acknowledged_however_often_other_tabs_ask() {
    // Found by the simulator: another tab's question had the server begin again at 8, a second one
    // called it away, and the last that came of the first kept the cursor low until the next message.
    let (mut leader, connection) = Tab::leading(3, 0);
    for number in 1..=3 {
        leader.message(connection, number);
    }
    leader.engine.handle_ask(seq(0).into(), EPOCH, leader.now);
    leader.message(connection, 1);
    leader.engine.handle_ask(seq(3).into(), EPOCH, leader.now);
    leader.pass(1_000);
    assert_eq!(leader.outputs().last(), Some(&Output::Ack(seq(3))));
}

#[test]
fn a_tab_whose_leader_closes_takes_over_and_reads_on_from_its_own_position() {
    let (mut tab, through) = Tab::joined(3, 3);
    assert_eq!(tab.message(through, 4), NEWS);
    let connection = tab.lead(6, 4);
    assert!(tab.outputs().contains(&get_pending(4)));
    assert_eq!(tab.message(through, 5), Delivery::Drop, "the old way is closed");
    assert_eq!(tab.message(connection, 4), Delivery::Drop);
    assert_eq!(tab.message(connection, 5), OLD);
}

#[test]
fn nobody_sees_a_hand_over_unless_it_takes_long() {
    let (mut tab, _) = Tab::joined(0, 0);
    tab.hear(OTHER, true, Phase::Connecting { attempt: 0 });
    assert_eq!(tab.engine.status(), Status::Connected);
    tab.join(OTHER, 0, 0);
    tab.pass(HANDOVER_GRACE_MS);
    assert_eq!(tab.engine.status(), Status::Connected);
    tab.hear(LEADER, true, Phase::Connecting { attempt: 3 });
    tab.pass(HANDOVER_GRACE_MS - 1);
    assert_eq!((tab.engine.status(), tab.engine.attempts()), (Status::Connected, 0));
    tab.pass(1);
    assert_eq!((tab.engine.status(), tab.engine.attempts()), (Status::Connecting, 3));
}

#[test]
fn sends_go_through_the_leading_tab_and_again_through_the_next() {
    let (mut tab, through) = Tab::joined(0, 0);
    let first = tab.engine.send("first", 5, tab.now).unwrap();
    assert_eq!(tab.outputs(), [Output::Transmit(first)]);
    tab.hear(OTHER, true, Phase::Connecting { attempt: 0 });
    let second = tab.engine.send("second", 6, tab.now).unwrap();
    let outputs = tab.outputs();
    assert!(!outputs.contains(&Output::Transmit(second)), "nobody would pass it on: {outputs:?}");
    tab.engine.handle_welcome(OTHER, established(0, 0), None, true, tab.now);
    let outputs = tab.outputs();
    let transmitted: Vec<_> =
        outputs.iter().filter(|output| matches!(output, Output::Transmit(_))).collect();
    assert_eq!(transmitted, [&Output::Transmit(first), &Output::Transmit(second)]);
    tab.engine.handle_accepted(through, first, tab.now);
    assert_eq!(tab.outputs(), [], "an answer by the old way comes again by the new one");
}

#[test]
fn a_frozen_leader_is_noticed_and_replaced() {
    let (mut tab, _) = Tab::joined(0, 0);
    tab.pass(HEARTBEAT_MS);
    assert_eq!(tab.outputs().last(), Some(&Output::Ping));
    tab.engine.handle_tab(LEADER, TabMessage::Pong, tab.now);
    tab.pass(HEARTBEAT_MS);
    tab.outputs();
    tab.pass(PONG_TIMEOUT_MS);
    let outputs = tab.outputs();
    assert!(outputs.contains(&Output::Lock { steal: true }), "{outputs:?}");
    let connection = tab.lead(0, 0);
    assert_eq!(tab.message(connection, 1), NEWS);
}

#[test]
fn a_leader_that_thaws_and_still_thinks_that_it_leads_keeps_nobody() {
    // It answered, before it heard that its lock was gone, what it had been asked while it was
    // frozen. Whoever heard that left the leading tab for one without a connection, for as long as
    // a ping takes to go unanswered, and then stole the lock.
    let (mut tab, _) = Tab::joined(0, 0);
    tab.join(OTHER, 0, 0);
    let through_thawed = tab.join(LEADER, 0, 0);
    tab.outputs();
    tab.engine.handle_tab(LEADER, TabMessage::Hello, tab.now);
    assert_eq!(tab.outputs(), [Output::Post(None, TabMessage::Hello)]);
    let connection = tab.join(OTHER, 0, 0);
    assert_eq!(tab.message(through_thawed, 1), Delivery::Drop);
    assert_eq!(tab.message(connection, 1), NEWS);
    tab.pass(ELECTION_TIMEOUT_MS);
    assert!(!tab.outputs().contains(&Output::Lock { steal: true }));
}

#[test]
fn a_leader_that_thaws_and_answers_what_it_was_asked_before_takes_nobody_from_the_next() {
    // Whoever went over to it got messages that an earlier page of the device had handled by way of the
    // next leader, and took them for news.
    let mut tab = Tab::electing();
    tab.hear(OTHER, true, Phase::Connecting { attempt: 0 });
    tab.engine.handle_welcome(LEADER, established(5, 5), None, false, tab.now);
    tab.hear(LEADER, true, Phase::Connected);
    assert_eq!(tab.engine.last_joined(), None);
    tab.outputs();
    // Once the next does not answer either, whoever says that it leads will do.
    tab.pass(LEADER_CHECK_MS);
    assert_eq!(tab.outputs(), [Output::Post(None, TabMessage::Hello)]);
    tab.engine.handle_welcome(LEADER, established(5, 5), None, false, tab.now);
    assert!(tab.engine.last_joined().is_some());
}

#[test]
fn a_tab_that_opens_beside_a_frozen_leader_does_not_wait_for_it() {
    let mut tab = Tab::electing();
    tab.pass(ELECTION_TIMEOUT_MS);
    assert!(tab.outputs().contains(&Output::Lock { steal: true }));
}

#[test]
fn a_tab_that_was_asleep_asks_before_it_takes_over() {
    let mut tab = Tab::electing();
    tab.now = tab.now + 3_600_000;
    tab.engine.handle_timeout(tab.now);
    let outputs = tab.outputs();
    assert!(!outputs.contains(&Output::Lock { steal: true }), "{outputs:?}");
    assert!(outputs.contains(&Output::Post(None, TabMessage::Hello)), "{outputs:?}");
}

#[test]
fn a_leader_that_waits_is_looked_after() {
    let mut tab = Tab::electing();
    tab.hear(
        LEADER,
        true,
        Phase::Waiting { attempt: 2, retry_in_ms: 25_000, reason: WaitReason::Busy },
    );
    tab.outputs();
    assert_eq!(tab.engine.status(), Status::Waiting);
    assert_eq!((tab.engine.attempts(), tab.engine.retry_at()), (2, Some(tab.now + 25_000)));
    assert_eq!(tab.engine.wait_reason(), Some(WaitReason::Busy));
    tab.pass(LEADER_CHECK_MS);
    assert_eq!(tab.outputs(), [Output::Post(None, TabMessage::Hello)]);
    tab.hear(
        LEADER,
        true,
        Phase::Waiting { attempt: 2, retry_in_ms: 15_000, reason: WaitReason::Busy },
    );
    tab.pass(LEADER_CHECK_MS);
    assert_eq!(tab.outputs(), [Output::Post(None, TabMessage::Hello)]);
    tab.pass(ELECTION_TIMEOUT_MS);
    assert_eq!(tab.outputs(), [Output::Lock { steal: true }]);
}

#[test]
fn try_now_in_any_tab_makes_the_leading_one_try() {
    let mut tab = Tab::electing();
    tab.hear(
        LEADER,
        true,
        Phase::Waiting { attempt: 2, retry_in_ms: 25_000, reason: WaitReason::Busy },
    );
    tab.outputs();
    tab.engine.wake(tab.now);
    assert_eq!(tab.outputs(), [Output::Post(Some(LEADER), TabMessage::TryNow)]);

    let (mut leader, connection) = Tab::leading(0, 0);
    leader.engine.handle_closed(connection, 1006, None, leader.now);
    assert_eq!(leader.engine.status(), Status::Waiting);
    leader.engine.handle_tab(OTHER, TabMessage::TryNow, leader.now);
    assert_eq!(leader.engine.status(), Status::Connecting);
}

#[test]
fn the_lead_moves_to_a_visible_tab_but_not_at_every_glance() {
    let (mut tab, _) = Tab::joined(0, 0);
    tab.hear(LEADER, false, Phase::Connected);
    tab.pass(TAKEOVER_AFTER_MS - 1);
    tab.engine.set_visible(false, tab.now);
    tab.pass(TAKEOVER_AFTER_MS);
    let steal = Output::Lock { steal: true };
    assert!(!tab.outputs().contains(&steal));
    tab.engine.set_visible(true, tab.now);
    tab.pass(TAKEOVER_AFTER_MS);
    assert!(tab.outputs().contains(&steal));
}

#[test]
fn the_lead_moves_to_a_visible_tab_from_one_of_an_older_version_and_from_no_newer_one() {
    // Streams were shown only in the tabs of the version that happened to lead.
    for (version, moves) in [(0, true), (TABS_VERSION, false), (TABS_VERSION + 1, false)] {
        let (mut tab, _) = Tab::joined(0, 0);
        tab.hear_version(version, LEADER, true, Phase::Connected);
        tab.pass(TAKEOVER_AFTER_MS);
        assert_eq!(tab.outputs().contains(&Output::Lock { steal: true }), moves, "{version}");
    }
}

#[test]
fn whoever_loses_the_lock_acknowledges_hangs_up_and_follows() {
    let (mut tab, connection) = Tab::leading(0, 0);
    tab.message(connection, 1);
    tab.engine.handle_tab(OTHER, TabMessage::Hello, tab.now);
    tab.outputs();
    tab.engine.handle_lock_lost(tab.now);
    let outputs = tab.outputs();
    assert_eq!(outputs[0], Output::Ack(seq(1)));
    assert!(matches!(outputs[1], Output::Detach(detached, 1000) if detached == connection));
    assert_eq!(tab.engine.status(), Status::Connected, "it is only handed over");
    let through = tab.join(OTHER, 1, 1);
    assert_eq!(tab.message(through, 2), NEWS);
    assert_eq!(tab.outputs(), []);
}

#[test]
fn a_tab_whose_lock_is_taken_by_nobody_that_it_hears_goes_on_by_itself() {
    // Locks without a channel: two tabs took the lock from each other for ever, every 3 s.
    let (mut tab, connection) = Tab::leading(0, 0);
    tab.outputs();
    tab.engine.handle_lock_lost(tab.now);
    assert_eq!(tab.outputs(), []);
    assert_eq!(tab.message(connection, 1), NEWS);
    // There is a channel after all: that tab was late, or this one frozen.
    tab.hear(OTHER, true, Phase::Connecting { attempt: 0 });
    let outputs = tab.outputs();
    assert!(matches!(outputs[1], Output::Detach(detached, 1000) if detached == connection));
    tab.join(OTHER, 1, 1);
    assert_eq!(tab.engine.status(), Status::Connected);
}

#[test]
fn a_tab_that_is_given_no_lock_and_hears_nobody_goes_on_by_itself() {
    // Locks that are there and never answer: nothing ever connected.
    let mut tab = Tab::electing();
    tab.pass(ELECTION_TIMEOUT_MS);
    assert!(tab.outputs().contains(&Output::Lock { steal: true }));
    tab.pass(ELECTION_TIMEOUT_MS);
    assert!(tab.outputs().contains(&Output::ResolveToken { fresh: false }));
    tab.engine.handle_lock(tab.now);
    assert_eq!(tab.outputs(), [], "it comes after all");
}

#[test]
fn a_tab_that_has_seen_more_than_its_new_leader_has_lost_nothing() {
    let (mut tab, through) = Tab::joined(5, 5);
    assert_eq!(tab.message(through, 6), NEWS);
    let again = tab.join(OTHER, 5, 5);
    assert_eq!(tab.message(again, 6), Delivery::Drop);
    assert_eq!(tab.message(again, 7), NEWS);
}

#[test]
fn signing_out_in_one_tab_signs_out_all() {
    let (mut leader, _) = Tab::leading(0, 0);
    let (mut follower, _) = Tab::joined(0, 0);
    let send = leader.engine.send("never", 5, leader.now).unwrap();
    leader.outputs();
    follower.engine.sign_out(follower.now);
    assert_eq!(follower.outputs()[0], Output::Post(None, TabMessage::SignedOut));
    leader.engine.handle_tab(OTHER, TabMessage::SignedOut, leader.now);
    let outputs = leader.outputs();
    assert!(outputs.contains(&Output::Settled(send, SendOutcome::SignedOut)), "{outputs:?}");
    assert!(outputs.contains(&Output::Unlock), "{outputs:?}");
    assert!(outputs.contains(&Output::SignedOutElsewhere), "{outputs:?}");
    assert_eq!(leader.engine.status(), Status::SignedOut);
}

#[test]
fn a_tab_that_merely_goes_away_signs_nobody_out() {
    let (mut tab, _) = Tab::joined(0, 0);
    tab.engine.leave(tab.now);
    let outputs = tab.outputs();
    assert!(!outputs.contains(&Output::Post(None, TabMessage::SignedOut)), "{outputs:?}");
    assert!(outputs.contains(&Output::Unlock), "{outputs:?}");
}

#[test]
fn an_identity_that_is_refused_is_refused_in_every_tab() {
    let (mut leader, connection) = Tab::leading(0, 0);
    leader.engine.handle_closed(connection, 4403, None, leader.now);
    leader.engine.handle_no_token(NoToken::SignedOut, leader.now);
    assert!(leader.outputs().contains(&Output::Post(None, TabMessage::Refused)));
    let (mut follower, _) = Tab::joined(0, 0);
    follower.engine.handle_tab(LEADER, TabMessage::Refused, follower.now);
    assert_eq!(follower.engine.status(), Status::Refused);
    assert!(follower.outputs().contains(&Output::IdentityRefused { is_final: true }));
}

#[test]
fn a_token_that_is_refused_shows_in_every_tab_and_ends_none() {
    let (mut leader, connection) = Tab::leading(0, 0);
    leader.engine.handle_closed(connection, 4401, None, leader.now);
    leader.engine.handle_token(leader.now);
    let fresh = ConnectionNo(connection.0 + 1);
    leader.engine.handle_closed(fresh, 1006, None, leader.now);
    leader.engine.handle_probe(fresh, ProbeAnswer::Unauthorized, leader.now);
    let outputs = leader.outputs();
    assert!(!outputs.contains(&Output::Unlock), "{outputs:?}");
    let lead = outputs.iter().rev().find_map(|output| match output {
        Output::Post(None, message @ TabMessage::Lead(_)) => Some(*message),
        _ => None,
    });
    let (mut follower, _) = Tab::joined(0, 0);
    let send = follower.engine.send("later", 5, follower.now).unwrap();
    follower.outputs();
    follower.engine.handle_tab(LEADER, lead.expect("a word to the others"), follower.now);
    follower.pass(HANDOVER_GRACE_MS);
    assert_eq!(follower.engine.status(), Status::Refused);
    assert_eq!(follower.engine.wait_reason(), Some(WaitReason::Refused));
    assert_eq!(follower.engine.payload(send), Some(&"later"));
    // "Try now" reaches the tab that leads.
    follower.engine.wake(follower.now);
    assert!(follower.outputs().contains(&Output::Post(Some(LEADER), TabMessage::TryNow)));
    leader.engine.handle_tab(OTHER, TabMessage::TryNow, leader.now);
    assert!(leader.outputs().contains(&Output::ResolveToken { fresh: true }));
}

#[test]
fn a_tab_that_steps_away_gives_lock_and_channel_back_and_comes_back_to_where_it_was() {
    // A leading page in the back-forward cache held the lock of a connection that it did not serve.
    let (mut tab, connection) = Tab::leading(5, 5);
    let send = tab.engine.send("later", 5, tab.now).unwrap();
    tab.outputs();
    tab.engine.step_away(tab.now);
    let outputs = tab.outputs();
    assert!(outputs.contains(&Output::Unlock), "{outputs:?}");
    assert!(outputs.contains(&Output::Detach(connection, 1000)), "{outputs:?}");
    // Whatever the browser says before the page is shown again.
    tab.engine.wake(tab.now);
    tab.engine.handle_lock(tab.now);
    assert_eq!(tab.outputs(), []);
    assert_eq!(tab.engine.payload(send), Some(&"later"));
    assert_eq!(tab.engine.position(), Some(seq(5)));
    tab.engine.sign_in_among_tabs(true, tab.now);
    assert!(tab.outputs().contains(&Output::Lock { steal: false }));
}

#[test]
fn what_all_tabs_send_is_one_sequence_and_goes_out_again_in_its_order() {
    // Found by the simulator: each tab repeated its own sends, and after the refusal of one tab's the
    // server, which knew of one sequence only, let a later send of another tab overtake.
    let (mut leader, connection) = Tab::leading(0, 0);
    let own = leader.engine.send("own", 3, leader.now).unwrap();
    let others = ["first", "second"].map(|text| leader.engine.pass_on(text, leader.now).unwrap());
    let [first, second] = others;
    let all = [own, first, second].map(Output::Transmit);
    assert_eq!(leader.outputs(), all);
    assert_eq!(leader.engine.outbox_len(), 1, "the others are counted where they were sent");
    leader.engine.handle_refused(connection, own, true, None, leader.now);
    leader.pass(1_000);
    assert_eq!(leader.outputs(), all);
    leader.engine.handle_accepted(connection, own, leader.now);
    leader.engine.handle_accepted(connection, first, leader.now);
    leader.outputs();
    leader.engine.handle_closed(connection, 1006, None, leader.now);
    assert_eq!(leader.engine.payload(second), None, "its own tab sends it by the next connection");
    assert_eq!(leader.engine.pass_on("too early", leader.now), None);
}

#[test]
fn a_tab_leaves_the_repeating_to_the_one_that_leads() {
    let (mut tab, connection) = Tab::joined(0, 0);
    let send = tab.engine.send("once", 4, tab.now).unwrap();
    assert_eq!(tab.outputs(), [Output::Transmit(send)]);
    tab.engine.handle_refused(connection, send, true, Some(1), tab.now);
    tab.pass(5_000);
    assert!(!tab.outputs().contains(&Output::Transmit(send)));
    tab.engine.handle_accepted(connection, send, tab.now);
    assert_eq!(tab.outputs().last(), Some(&Output::Settled(send, SendOutcome::Accepted)));
}

#[test]
fn what_retention_took_is_a_gap_only_for_tabs_that_had_not_read_it() {
    let (mut tab, connection) = Tab::joined(9, 5);
    tab.engine.handle_gap(connection, seq(2), seq(5), IdNo::NONE, tab.now);
    assert_eq!(tab.outputs(), [], "another tab asked from 2");
    tab.engine.handle_gap(connection, seq(5), seq(8), IdNo::NONE, tab.now);
    assert_eq!(tab.outputs(), [Output::Gap { after: seq(5), next: seq(8) }]);
    assert_eq!(tab.message(connection, 8), OLD);
}

//! The engine's behaviour, told as stories in virtual time through its public interface.

use std::iter;

use tetherline_engine::{
    ConnectionNo, Delivery, Engine, EpochNo, Established, IdNo, Instant, NoToken, Output,
    ProbeAnswer, SendOutcome, SendRefused, Status, WaitReason,
};
use tetherline_protocol::{
    ErrorCode, Seq,
    limits::{
        ACK_DELAY_MS, ACK_EVERY_MESSAGES, BACKOFF_BASE_MS, BACKOFF_CAP_MS, HANDLER_TIMEOUT_MS,
        HELD_BYTES_MAX, HELD_MESSAGES_MAX, OUTBOX_TTL_MS, PONG_TIMEOUT_MS, REFUSED_BACKOFF_BASE_MS,
        REFUSED_BACKOFF_CAP_MS, STABLE_AFTER_MS, SUSPECT_TIMEOUT_MS, UNHANDLED_GRACE_MS,
        UNHANDLED_MESSAGES_MAX,
    },
};

const EPOCH: EpochNo = EpochNo(1);
const HEARTBEAT_MS: u64 = 30_000;
const HOUR_MS: u64 = 3_600_000;

/// An engine, a clock, and what the engine asked for.
struct Page {
    engine: Engine<String>,
    now: Instant,
}

impl Page {
    fn new() -> Self {
        Self { engine: Engine::new(1), now: Instant::from_millis(1_000) }
    }

    /// Signed in and connected, with a mailbox of `head` messages and this cursor.
    fn connected(head: u64, cursor: u64) -> (Self, ConnectionNo) {
        let mut page = Self::new();
        page.engine.sign_in(page.now);
        let connection = page.open();
        page.establish(connection, head, cursor);
        (page, connection)
    }

    fn outputs(&mut self) -> Vec<Output> {
        iter::from_fn(|| self.engine.poll_output()).collect()
    }

    /// Gives the token that was asked for and answers the connection that is opened with it.
    fn open(&mut self) -> ConnectionNo {
        let asked = self.outputs();
        assert!(
            asked.iter().any(|output| matches!(output, Output::ResolveToken { .. })),
            "no token was asked for: {asked:?}"
        );
        self.engine.handle_token(self.now);
        self.outputs()
            .into_iter()
            .find_map(|output| match output {
                Output::Open(connection) => Some(connection),
                _ => None,
            })
            .expect("a token leads to a connection")
    }

    fn establish(&mut self, connection: ConnectionNo, head: u64, cursor: u64) {
        self.establish_in(EPOCH, connection, head, cursor);
    }

    fn establish_in(&mut self, epoch: EpochNo, connection: ConnectionNo, head: u64, cursor: u64) {
        self.engine.handle_opened(connection, self.now);
        let established = Established {
            epoch,
            head: seq(head),
            cursor: seq(cursor).into(),
            checks_positions: false,
            heartbeat_interval_ms: HEARTBEAT_MS,
            token_expires_in_ms: HOUR_MS,
        };
        self.engine.handle_established(connection, established, self.now);
    }

    /// Lets the clock run to the engine's next timer.
    fn next_timer(&mut self) -> u64 {
        let at = self.engine.poll_timeout().expect("a timer runs");
        let waited = at.millis_since(self.now);
        self.now = self.now.max(at);
        self.engine.handle_timeout(self.now);
        waited
    }

    fn pass(&mut self, millis: u64) {
        let until = self.now + millis;
        while let Some(at) = self.engine.poll_timeout().filter(|&at| at <= until) {
            self.now = self.now.max(at);
            self.engine.handle_timeout(self.now);
        }
        self.now = until;
    }

    fn message(&mut self, connection: ConnectionNo, number: u64) -> Delivery {
        self.engine.handle_message(connection, Some(seq(number).into()), 1, 100)
    }
}

fn seq(number: u64) -> Seq {
    Seq::new(number).expect("a position below 2^53")
}

fn get_pending(after: u64) -> Output {
    Output::GetPending { after: seq(after).into(), proves: false, epoch: EPOCH }
}

const NEWS: Delivery = Delivery::Deliver { replayed: false };
const OLD: Delivery = Delivery::Deliver { replayed: true };

#[test]
fn signing_in_connects_and_asks_from_the_devices_cursor() {
    let mut page = Page::new();
    page.engine.sign_in(page.now);
    assert_eq!(page.engine.status(), Status::Connecting);
    let connection = page.open();
    page.establish(connection, 10, 7);
    assert_eq!(page.outputs(), [Output::StatusChanged, get_pending(7)]);
    assert_eq!(page.engine.status(), Status::Connected);
    assert_eq!(page.message(connection, 8), OLD);
    assert_eq!(page.message(connection, 11), NEWS, "a hole does not stop what follows");
    assert!(page.outputs().contains(&Output::Gap { after: seq(8), next: seq(11) }));
}

#[test]
fn what_came_twice_is_delivered_once() {
    let (mut page, connection) = Page::connected(0, 0);
    assert_eq!(page.message(connection, 1), NEWS);
    assert_eq!(page.message(connection, 1), Delivery::Drop);
    page.engine.handle_closed(connection, 1006, None, page.now);
    page.next_timer();
    let again = page.open();
    page.establish(again, 2, 0);
    assert!(page.outputs().contains(&get_pending(1)), "it reads on from the page's own position");
    assert_eq!(page.message(again, 1), Delivery::Drop);
    assert_eq!(page.message(again, 2), OLD);
}

#[test]
fn a_socket_that_was_given_up_cannot_say_anything_any_more() {
    let (mut page, old) = Page::connected(0, 0);
    page.engine.handle_closed(old, 1006, None, page.now);
    page.next_timer();
    let new = page.open();
    page.establish(new, 0, 0);
    assert_eq!(page.message(old, 1), Delivery::Drop);
    page.engine.handle_closed(old, 4403, None, page.now);
    assert_eq!(page.engine.status(), Status::Connected);
    assert_eq!(page.message(new, 1), NEWS);
}

#[test]
fn handled_messages_are_acknowledged_together_after_a_moment() {
    let (mut page, connection) = Page::connected(0, 0);
    page.outputs();
    for number in 1..=3 {
        page.message(connection, number);
    }
    assert_eq!(page.outputs(), []);
    page.pass(ACK_DELAY_MS);
    assert_eq!(page.outputs(), [Output::Ack(seq(3))]);
}

#[test]
fn many_handled_messages_are_acknowledged_without_waiting_and_never_the_one_in_hand() {
    let (mut page, connection) = Page::connected(0, 0);
    page.outputs();
    for number in 1..=ACK_EVERY_MESSAGES {
        page.message(connection, number);
    }
    assert_eq!(page.outputs(), [], "the last of them is just being handed to its handlers");
    page.message(connection, ACK_EVERY_MESSAGES + 1);
    assert_eq!(page.outputs(), [Output::Ack(seq(ACK_EVERY_MESSAGES))]);
}

#[test]
fn messages_that_are_foreseen_are_told_together_as_they_would_be_one_by_one() {
    const OLD_MESSAGES: u64 = 100;
    for at_once in [1, 7, u64::MAX] {
        let (mut single, connection) = Page::connected(OLD_MESSAGES, 0);
        let (mut together, _) = Page::connected(OLD_MESSAGES, 0);
        assert_eq!(together.engine.foreseen(), 0, "nothing was acknowledged yet, nor will be");
        let (mut number, mut runs) = (0, 0);
        while number < 3 * OLD_MESSAGES {
            number += 1;
            let said = single.message(connection, number);
            assert_eq!(together.message(connection, number), said);
            assert_eq!(together.outputs(), single.outputs());
            let foreseen = u64::from(together.engine.foreseen()).min(at_once);
            for _ in 0..foreseen {
                number += 1;
                let timeout = single.engine.poll_timeout();
                assert_eq!(single.message(connection, number), said);
                assert_eq!((single.outputs(), single.engine.poll_timeout()), (vec![], timeout));
            }
            if foreseen > 0 {
                runs += 1;
                together.engine.handle_foreseen(connection, seq(number).into());
            }
            assert_eq!(together.engine.position(), single.engine.position());
            assert_eq!(together.engine.poll_timeout(), single.engine.poll_timeout());
        }
        assert!(runs > 3, "{runs} times something was foreseen");
        together.pass(ACK_DELAY_MS);
        assert!(together.outputs().contains(&Output::Ack(seq(number))));
    }
}

#[test]
fn nothing_is_foreseen_while_a_handler_runs_or_a_hole_is_filled() {
    let (mut page, connection) = Page::connected(0, 0);
    page.message(connection, 1);
    assert_ne!(page.engine.foreseen(), 0);
    page.engine.hold(seq(1), page.now);
    assert_eq!(page.engine.foreseen(), 0);
    page.engine.handled(seq(1), page.now);
    assert_ne!(page.engine.foreseen(), 0);
    page.engine.handle_closed(connection, 1006, None, page.now);
    assert_eq!(page.engine.foreseen(), 0);

    let (mut page, connection) = Page::connected(10, 5);
    page.message(connection, 6);
    assert_ne!(page.engine.foreseen(), 0);
    page.engine.history_as_of(seq(3), page.now);
    assert_eq!(page.engine.foreseen(), 0);
}

#[test]
fn a_handler_that_is_still_running_holds_the_acknowledgement_back() {
    let (mut page, connection) = Page::connected(0, 0);
    page.outputs();
    page.message(connection, 1);
    page.message(connection, 2);
    page.engine.hold(seq(2), page.now);
    page.message(connection, 3);
    page.pass(ACK_DELAY_MS);
    assert_eq!(page.outputs(), [Output::Ack(seq(1))]);
    page.engine.handled(seq(2), page.now);
    page.pass(ACK_DELAY_MS);
    assert_eq!(page.outputs(), [Output::Ack(seq(3))]);
}

#[test]
fn a_handler_that_never_settles_is_reported_and_stops_nothing() {
    let (mut page, connection) = Page::connected(0, 0);
    page.outputs();
    page.message(connection, 1);
    page.engine.hold(seq(1), page.now);
    page.pass(HANDLER_TIMEOUT_MS - 1);
    assert!(!page.outputs().contains(&Output::HandlerTimedOut(seq(1))));
    page.pass(1 + ACK_DELAY_MS);
    let outputs = page.outputs();
    assert!(outputs.contains(&Output::HandlerTimedOut(seq(1))), "{outputs:?}");
    assert!(outputs.contains(&Output::Ack(seq(1))), "{outputs:?}");
}

#[test]
fn what_was_handled_before_a_loss_is_acknowledged_after_it() {
    let (mut page, connection) = Page::connected(0, 0);
    page.message(connection, 1);
    page.engine.handle_closed(connection, 1006, None, page.now);
    page.next_timer();
    let again = page.open();
    page.establish(again, 1, 0);
    page.outputs();
    page.pass(ACK_DELAY_MS);
    assert_eq!(page.outputs(), [Output::Ack(seq(1))]);
}

#[test]
fn a_message_waits_for_its_handler_while_the_page_is_young() {
    let (mut page, connection) = Page::connected(1, 0);
    page.outputs();
    let parked = page.engine.handle_message(connection, Some(seq(1).into()), 0, 100);
    assert_eq!(parked, Delivery::Park { replayed: true });
    page.pass(ACK_DELAY_MS);
    assert_eq!(page.outputs(), [], "nobody has handled it");
    page.engine.unpark(seq(1), page.now);
    page.pass(ACK_DELAY_MS);
    assert_eq!(page.outputs(), [Output::Ack(seq(1))]);
}

#[test]
fn a_message_that_nobody_wants_counts_as_handled_when_the_grace_is_over() {
    let (mut page, connection) = Page::connected(0, 0);
    page.outputs();
    page.engine.handle_message(connection, Some(seq(1).into()), 0, 100);
    page.pass(UNHANDLED_GRACE_MS + ACK_DELAY_MS);
    let outputs = page.outputs();
    assert!(outputs.contains(&Output::GraceOver), "{outputs:?}");
    assert!(outputs.contains(&Output::Ack(seq(1))), "{outputs:?}");
    let later = page.engine.handle_message(connection, Some(seq(2).into()), 0, 100);
    assert_eq!(later, Delivery::Unhandled { replayed: false });
}

#[test]
fn the_parking_lot_holds_so_many_messages_and_drops_its_oldest() {
    let (mut page, connection) = Page::connected(0, 0);
    page.outputs();
    for number in 1..=UNHANDLED_MESSAGES_MAX as u64 {
        page.engine.handle_message(connection, Some(seq(number).into()), 0, 1);
    }
    assert_eq!(page.outputs(), []);
    page.engine.handle_message(
        connection,
        Some(seq(UNHANDLED_MESSAGES_MAX as u64 + 1).into()),
        0,
        1,
    );
    assert_eq!(page.outputs(), [Output::ParkedGivenUp(seq(1))]);
}

#[test]
fn a_held_message_outlives_the_grace_and_holds_back_the_acknowledgement() {
    let (mut page, connection) = Page::connected(0, 0);
    page.outputs();
    let held = page.engine.handle_held_message(connection, seq(1).into(), 100);
    assert_eq!(held, Delivery::Park { replayed: false });
    page.engine.handle_message(connection, Some(seq(2).into()), 0, 100);
    page.engine.keep(seq(2));
    assert_eq!(page.message(connection, 3), NEWS);
    page.pass(UNHANDLED_GRACE_MS + ACK_DELAY_MS);
    assert!(!page.outputs().iter().any(|output| matches!(output, Output::Ack(_))));
    page.engine.unpark(seq(1), page.now);
    page.engine.unpark(seq(2), page.now);
    page.pass(ACK_DELAY_MS);
    assert!(page.outputs().contains(&Output::Ack(seq(3))));
}

#[test]
fn a_page_that_holds_all_it_may_leaves_the_rest_to_the_server_and_reads_on_from_there() {
    let (mut page, connection) = Page::connected(0, 0);
    page.outputs();
    let last = HELD_MESSAGES_MAX as u64;
    for number in 1..=last {
        let held = page.engine.handle_held_message(connection, seq(number).into(), 1);
        assert_eq!(held, Delivery::Park { replayed: false });
    }
    assert_eq!(page.message(connection, last + 1), Delivery::Drop, "it is left where it is");
    assert_eq!(page.engine.position(), Some(seq(last)));
    page.outputs();
    page.engine.unpark(seq(1), page.now);
    page.engine.unpark(seq(2), page.now);
    assert_eq!(page.outputs(), [get_pending(last)], "once, however much room there is");
    page.engine.handle_complete(connection, page.now);
    assert_eq!(page.message(connection, last + 1), NEWS);
}

#[test]
fn held_bytes_are_counted_and_the_message_that_reaches_their_limit_fits() {
    let (mut page, connection) = Page::connected(0, 0);
    page.outputs();
    page.engine.handle_held_message(connection, seq(1).into(), HELD_BYTES_MAX - 1);
    let largest = page.engine.handle_held_message(connection, seq(2).into(), usize::MAX);
    assert_eq!(largest, Delivery::Park { replayed: false });
    assert_eq!(page.message(connection, 3), Delivery::Drop);
    page.engine.unpark(seq(2), page.now);
    assert_eq!(page.outputs(), [get_pending(2)]);
}

#[test]
fn no_size_is_too_large_to_be_parked_or_refused() {
    // Found by the property tests: added to what was there already, the largest of sizes made a
    // small sum (or a panic, where overflows are checked), and everything seemed to fit.
    let (mut page, connection) = Page::connected(0, 0);
    page.engine.send(String::new(), 1, page.now).unwrap();
    let refused = page.engine.send(String::new(), usize::MAX, page.now);
    assert_eq!(refused, Err(SendRefused::OutboxFull));
    page.outputs();
    page.engine.handle_message(connection, Some(seq(1).into()), 0, 1);
    page.engine.handle_message(connection, Some(seq(2).into()), 0, usize::MAX);
    assert_eq!(page.outputs(), [Output::ParkedGivenUp(seq(1)), Output::ParkedGivenUp(seq(2))]);
}

#[test]
fn a_handler_that_signs_out_and_goes_on_is_nobodys_business_any_more() {
    // Found by the property tests: the message was held for its handler after signing out, and half
    // a minute later the handler of a person who had left was reported as late.
    let (mut page, connection) = Page::connected(0, 0);
    page.message(connection, 1);
    page.engine.sign_out(page.now);
    page.engine.hold(seq(1), page.now);
    page.outputs();
    assert_eq!(page.engine.poll_timeout(), None);
    page.pass(HANDLER_TIMEOUT_MS);
    assert_eq!(page.outputs(), []);
}

#[test]
fn history_older_than_the_start_is_filled_up_without_a_duplicate() {
    // Another tab of this device has acknowledged up to 100, but the history that this page shows
    // was read when the head was 98: without 99 and 100 it would have a hole until a reload.
    let (mut page, connection) = Page::connected(100, 100);
    assert_eq!(page.message(connection, 101), NEWS);
    page.outputs();
    page.engine.history_as_of(seq(98), page.now);
    assert_eq!(page.outputs(), [get_pending(98)]);
    assert_eq!(page.message(connection, 99), OLD);
    assert_eq!(page.message(connection, 100), OLD);
    assert_eq!(page.message(connection, 101), Delivery::Drop);
    assert_eq!(page.message(connection, 102), NEWS);
}

#[test]
fn a_hole_in_older_history_is_a_gap_and_not_the_end_of_it() {
    let (mut page, connection) = Page::connected(7, 5);
    page.outputs();
    page.engine.history_as_of(seq(2), page.now);
    page.outputs();
    page.engine.handle_gap(connection, seq(2), seq(4), IdNo::NONE, page.now);
    assert_eq!(page.outputs(), [Output::Gap { after: seq(2), next: seq(4) }]);
    assert_eq!(page.message(connection, 4), OLD);
    assert_eq!((page.message(connection, 5), page.message(connection, 4)), (OLD, Delivery::Drop));
    assert_eq!(page.message(connection, 6), OLD);
    assert_eq!(page.outputs(), []);
}

#[test]
fn history_read_before_the_connection_decides_where_it_starts() {
    let mut page = Page::new();
    page.engine.sign_in(page.now);
    page.engine.history_as_of(seq(98), page.now);
    let connection = page.open();
    page.establish(connection, 100, 100);
    assert!(page.outputs().contains(&get_pending(98)));
}

#[test]
fn a_backfill_that_is_cut_off_goes_on_where_it_was() {
    let (mut page, connection) = Page::connected(100, 100);
    page.engine.history_as_of(seq(97), page.now);
    assert_eq!(page.message(connection, 98), OLD);
    page.engine.handle_closed(connection, 1006, None, page.now);
    page.next_timer();
    let again = page.open();
    page.establish(again, 100, 100);
    assert!(page.outputs().contains(&get_pending(98)));
    assert_eq!(page.message(again, 99), OLD);
    assert_eq!(page.message(again, 100), OLD);
    assert_eq!(page.message(again, 100), Delivery::Drop);
}

#[test]
fn another_epoch_is_another_history_and_said_out_loud() {
    let (mut page, connection) = Page::connected(5, 5);
    page.engine.handle_closed(connection, 1006, None, page.now);
    page.next_timer();
    let again = page.open();
    page.establish_in(EpochNo(2), again, 2, 1);
    let outputs = page.outputs();
    assert!(outputs.contains(&Output::Gap { after: seq(5), next: seq(1) }), "{outputs:?}");
    assert!(outputs.contains(&Output::GetPending {
        after: seq(1).into(),
        proves: false,
        epoch: EpochNo(2)
    }));
    assert_eq!(page.message(again, 2), OLD);
}

#[test]
fn what_is_parked_of_a_lost_history_never_reaches_a_handler() {
    // Found by the simulator: a message waited for its handler, a backup was restored,
    // and the new history brought it again: the late handler was called twice with it.
    let (mut page, connection) = Page::connected(1, 0);
    page.outputs();
    let parked = page.engine.handle_message(connection, Some(seq(1).into()), 0, 100);
    assert_eq!(parked, Delivery::Park { replayed: true });
    page.engine.handle_closed(connection, 1006, None, page.now);
    page.next_timer();
    let again = page.open();
    page.establish_in(EpochNo(2), again, 1, 0);
    let outputs = page.outputs();
    assert!(outputs.contains(&Output::ParkedDropped(seq(1))), "{outputs:?}");
    let anew = page.engine.handle_message(again, Some(seq(1).into()), 0, 100);
    assert_eq!(anew, Delivery::Park { replayed: true });
}

#[test]
fn a_handler_of_a_lost_history_does_not_speak_for_what_is_parked_in_the_new_one() {
    // Found by the simulator: a backup was restored while a handler ran, and when it
    // settled, the new history's message at the same position was acknowledged, still parked.
    let (mut page, connection) = Page::connected(1, 0);
    page.outputs();
    assert_eq!(page.message(connection, 1), OLD);
    page.engine.hold(seq(1), page.now);
    page.engine.handle_closed(connection, 1006, None, page.now);
    page.next_timer();
    let again = page.open();
    page.establish_in(EpochNo(2), again, 1, 0);
    page.outputs();
    let parked = page.engine.handle_message(again, Some(seq(1).into()), 0, 100);
    assert_eq!(parked, Delivery::Park { replayed: true });
    page.engine.handled(seq(1), page.now);
    page.pass(ACK_DELAY_MS);
    assert_eq!(page.outputs(), [], "nobody has handled it");
}

#[test]
fn a_send_goes_out_at_once_and_again_after_a_loss_in_order() {
    let (mut page, connection) = Page::connected(0, 0);
    page.outputs();
    let first = page.engine.send("first".into(), 5, page.now).unwrap();
    let second = page.engine.send("second".into(), 6, page.now).unwrap();
    assert_eq!(page.outputs(), [Output::Transmit(first), Output::Transmit(second)]);
    page.engine.handle_closed(connection, 1006, None, page.now);
    page.next_timer();
    let again = page.open();
    page.establish(again, 0, 0);
    let sent: Vec<_> =
        page.outputs().into_iter().filter(|it| matches!(it, Output::Transmit(_))).collect();
    assert_eq!(sent, [Output::Transmit(first), Output::Transmit(second)]);
    page.engine.handle_accepted(again, first, page.now);
    page.engine.handle_accepted(again, first, page.now);
    assert_eq!(page.outputs(), [Output::Settled(first, SendOutcome::Accepted)]);
}

#[test]
fn a_retryable_refusal_keeps_the_order() {
    let (mut page, connection) = Page::connected(0, 0);
    let sends: Vec<_> =
        (0..3).map(|_| page.engine.send("text".into(), 4, page.now).unwrap()).collect();
    page.outputs();
    page.engine.handle_refused(connection, sends[0], true, Some(2_000), page.now);
    page.engine.handle_refused(connection, sends[1], true, Some(2_000), page.now);
    let fourth = page.engine.send("later".into(), 5, page.now).unwrap();
    assert_eq!(page.outputs(), [], "nothing overtakes the refused one");
    page.pass(1_999);
    assert_eq!(page.outputs(), []);
    page.pass(1_000);
    let expected: Vec<_> =
        sends.iter().chain([&fourth]).map(|&send| Output::Transmit(send)).collect();
    assert_eq!(page.outputs(), expected);
}

#[test]
fn a_settled_send_that_is_refused_for_now_does_not_hold_back_the_later_ones_for_ever() {
    // It was repeated on the way, and there was no room for the repeat: the server waited for it to
    // return, which it never did.
    let (mut page, connection) = Page::connected(0, 0);
    let settled = page.engine.send("settled".into(), 7, page.now).expect("there is room");
    page.engine.handle_accepted(connection, settled, page.now);
    let later = page.engine.send("later".into(), 5, page.now).expect("there is room");
    page.outputs();
    page.engine.handle_refused(connection, settled, true, Some(5_000), page.now);
    page.engine.handle_refused(connection, later, true, Some(5_000), page.now);
    let outputs = page.outputs();
    assert!(outputs.iter().any(|output| matches!(output, Output::Detach(..))), "a new connection");
    page.next_timer();
    let connection = page.open();
    page.establish(connection, 0, 0);
    assert!(page.outputs().contains(&Output::Transmit(later)));
}

#[test]
fn a_refused_send_that_expires_does_not_hold_back_the_later_ones_for_ever() {
    // The server refuses later sends until it sees the refused one again, which is gone.
    let (mut page, connection) = Page::connected(0, 0);
    let gone = page.engine.send("gone".into(), 4, page.now).expect("there is room");
    page.engine.handle_refused(connection, gone, true, Some(2 * OUTBOX_TTL_MS), page.now);
    page.pass(1_000);
    let later = page.engine.send("later".into(), 5, page.now).expect("there is room");
    page.outputs();
    let mut seen = Vec::new();
    while !seen.contains(&Output::Settled(gone, SendOutcome::Expired)) {
        page.engine.handle_received(connection);
        page.next_timer();
        seen.extend(page.outputs());
    }
    assert!(seen.iter().any(|output| matches!(output, Output::Detach(..))), "a new connection");
    page.next_timer();
    let connection = page.open();
    page.establish(connection, 0, 0);
    assert!(page.outputs().contains(&Output::Transmit(later)));
}

#[test]
fn what_one_user_queued_never_leaves_on_anothers_connection() {
    // Four of the field's clients deliver user A's queued messages on user B's connection.
    let mut page = Page::new();
    page.engine.sign_in(page.now);
    let queued = page.engine.send("of user A".into(), 9, page.now).unwrap();
    page.outputs();
    page.engine.sign_out(page.now);
    assert!(page.outputs().contains(&Output::Settled(queued, SendOutcome::SignedOut)));
    assert_eq!(page.engine.send("x".into(), 1, page.now), Err(SendRefused::SignedOut));
    page.engine.sign_in(page.now);
    let connection = page.open();
    page.establish(connection, 3, 3);
    let outputs = page.outputs();
    assert!(!outputs.iter().any(|it| matches!(it, Output::Transmit(_))), "{outputs:?}");
    assert!(outputs.contains(&get_pending(3)), "nor does A's position: {outputs:?}");
}

#[test]
fn signing_out_hangs_up_and_acknowledges_first() {
    let (mut page, connection) = Page::connected(0, 0);
    page.message(connection, 1);
    page.outputs();
    page.engine.sign_out(page.now);
    assert_eq!(
        page.outputs(),
        [Output::Ack(seq(1)), Output::Detach(connection, 1000), Output::StatusChanged]
    );
    assert_eq!(page.message(connection, 2), Delivery::Drop, "no handler is called any more");
    assert_eq!(page.engine.poll_timeout(), None);
}

#[test]
fn a_silent_peer_is_detached_at_its_deadline_and_replaced() {
    let (mut page, connection) = Page::connected(0, 0);
    page.outputs();
    page.pass(HEARTBEAT_MS);
    assert!(page.outputs().contains(&Output::Ping));
    page.pass(PONG_TIMEOUT_MS);
    assert!(page.outputs().contains(&Output::Detach(connection, 4408)));
    assert_eq!((page.engine.status(), page.engine.attempts()), (Status::Waiting, 1));
}

#[test]
fn any_frame_is_a_sign_of_life() {
    let (mut page, connection) = Page::connected(0, 0);
    for _ in 0..5 {
        page.pass(HEARTBEAT_MS);
        page.engine.handle_received(connection);
    }
    page.pass(PONG_TIMEOUT_MS);
    assert_eq!(page.engine.status(), Status::Connected);
}

#[test]
fn a_timer_that_was_held_up_gives_the_peer_another_chance() {
    // Browsers throttle a hidden tab's timers to one a minute, and a laptop's lid stops them: the
    // deadline then passes without the peer having had a chance to answer.
    let (mut page, connection) = Page::connected(0, 0);
    page.pass(HEARTBEAT_MS);
    page.outputs();
    page.now = page.now + 3_600_000;
    page.engine.handle_timeout(page.now);
    assert_eq!(page.engine.status(), Status::Connected);
    assert!(page.outputs().contains(&Output::Ping));
    page.engine.handle_received(connection);
    page.pass(SUSPECT_TIMEOUT_MS);
    assert_eq!(page.engine.status(), Status::Connected);
}

#[test]
fn going_offline_is_found_out_quickly_and_coming_back_needs_no_wait() {
    let (mut page, connection) = Page::connected(0, 0);
    page.outputs();
    page.engine.set_online(false, page.now);
    assert_eq!(page.outputs(), [Output::Ping]);
    page.pass(SUSPECT_TIMEOUT_MS);
    assert!(page.outputs().contains(&Output::Detach(connection, 4408)));
    assert_eq!(page.engine.status(), Status::Waiting);
    page.engine.set_online(true, page.now);
    assert_eq!(page.engine.status(), Status::Connecting);
    page.open();
}

#[test]
fn an_answered_look_does_not_shorten_the_time_for_the_next_ping() {
    let (mut page, connection) = Page::connected(0, 0);
    page.pass(HEARTBEAT_MS - 100);
    page.engine.wake(page.now);
    page.engine.handle_received(connection);
    page.pass(100);
    assert!(page.outputs().ends_with(&[Output::Ping]));
    page.pass(PONG_TIMEOUT_MS - 1);
    assert_eq!(page.engine.status(), Status::Connected);
    page.pass(1);
    assert_eq!(page.engine.status(), Status::Waiting);
}

#[test]
fn attempts_are_counted_and_spread_up_to_the_cap() {
    let mut page = Page::new();
    page.engine.sign_in(page.now);
    for attempt in 0..12 {
        assert_eq!(page.engine.attempts(), attempt);
        let connection = page.open();
        page.engine.handle_closed(connection, 1006, None, page.now);
        assert_eq!(page.outputs(), [Output::Probe(connection)]);
        page.engine.handle_probe(connection, ProbeAnswer::Unreachable, page.now);
        assert_eq!(page.engine.status(), Status::Waiting);
        assert!(page.next_timer() <= BACKOFF_CAP_MS);
    }
}

#[test]
fn a_server_that_says_when_to_come_back_is_obeyed() {
    let mut page = Page::new();
    page.engine.sign_in(page.now);
    let connection = page.open();
    page.engine.handle_closed(connection, 1006, None, page.now);
    page.outputs();
    let busy = ProbeAnswer::Busy { retry_after_ms: Some(60_000) };
    page.engine.handle_probe(connection, busy, page.now);
    assert_eq!(page.engine.wait_reason(), Some(WaitReason::Busy));
    assert!(page.next_timer() >= 60_000);
}

#[test]
fn a_server_that_restarts_is_asked_again_when_it_said_and_by_everybody_at_another_moment() {
    // Whoever was connected came back within half a second, all of them, and found a port that was closed.
    let returns = |seed, told| {
        let mut page = Page { engine: Engine::new(seed), now: Instant::from_millis(1_000) };
        page.engine.sign_in(page.now);
        let connection = page.open();
        page.establish(connection, 0, 0);
        page.engine.handle_closed(connection, 1012, told, page.now);
        assert_eq!(page.engine.wait_reason(), Some(WaitReason::Lost));
        page.engine.retry_at().unwrap().millis_since(page.now)
    };
    let told: Vec<u64> = (0..20).map(|seed| returns(seed, Some(20_000))).collect();
    assert!(told.iter().all(|ms| (20_000..=20_000 + BACKOFF_BASE_MS).contains(ms)), "{told:?}");
    assert!(told.iter().collect::<std::collections::BTreeSet<_>>().len() > 10, "{told:?}");
    // One that says nothing, as older servers do, and one that others stand in for.
    for told in [None, Some(0)] {
        assert!((0..20).all(|seed| returns(seed, told) <= BACKOFF_BASE_MS), "{told:?}");
    }
    // Nobody waits for longer than an hour, whatever stands in the way.
    assert!(returns(1, Some(u64::MAX)) <= HOUR_MS + BACKOFF_BASE_MS);
}

#[test]
fn a_server_that_says_never_is_not_asked_at_once() {
    let mut page = Page::new();
    page.engine.sign_in(page.now);
    let connection = page.open();
    page.engine.handle_closed(connection, 1006, None, page.now);
    let never = ProbeAnswer::Busy { retry_after_ms: Some(u64::MAX) };
    page.engine.handle_probe(connection, never, page.now);
    let waits_ms = page.engine.retry_at().unwrap().millis_since(page.now);
    // A proxy's maintenance page said "next week", and the page waited for next week.
    assert!((HOUR_MS..=HOUR_MS + BACKOFF_BASE_MS).contains(&waits_ms), "{waits_ms} ms");

    let (mut page, connection) = Page::connected(0, 0);
    let send = page.engine.send("a".into(), 1, page.now).expect("there is room");
    page.outputs();
    page.engine.handle_refused(connection, send, true, Some(u64::MAX), page.now);
    page.pass(STABLE_AFTER_MS);
    assert!(!page.outputs().contains(&Output::Transmit(send)));
}

#[test]
fn a_refused_token_is_replaced_and_tried_again_slower_and_slower_for_as_long_as_there_are_any() {
    // A secret that was rotated on server and backend a minute apart ended every open page for good.
    let mut page = Page::new();
    page.engine.sign_in(page.now);
    let unauthorized = ProbeAnswer::Unauthorized;
    let first = page.open();
    page.engine.handle_closed(first, 1006, None, page.now);
    page.engine.handle_probe(first, unauthorized, page.now);
    assert!(page.outputs().contains(&Output::ResolveToken { fresh: true }));
    page.engine.handle_token(page.now);
    let second = ConnectionNo(first.0 + 1);
    page.engine.handle_closed(second, 1006, None, page.now);
    page.engine.handle_probe(second, unauthorized, page.now);
    let told = Output::IdentityRefused { is_final: false };
    assert!(page.outputs().contains(&told));
    let send = page.engine.send("kept".into(), 4, page.now).expect("there is room");
    let mut delays_ms = Vec::new();
    for times in 0..200 {
        assert_eq!(page.engine.status(), Status::Refused);
        assert_eq!(page.engine.wait_reason(), Some(WaitReason::Refused));
        let wait_ms = page.engine.retry_at().unwrap().millis_since(page.now);
        assert!(wait_ms <= (REFUSED_BACKOFF_BASE_MS << times.min(16)).min(REFUSED_BACKOFF_CAP_MS));
        delays_ms.push(wait_ms);
        page.next_timer();
        assert!(page.outputs().contains(&Output::ResolveToken { fresh: true }));
        // Nothing looks better before it is.
        assert_eq!((page.engine.status(), page.engine.retry_at()), (Status::Refused, None));
        page.engine.handle_token(page.now);
        let connection = ConnectionNo(second.0 + 1 + times);
        page.engine.handle_closed(connection, 1006, None, page.now);
        // Whose token it is can be put right as well.
        let answer = if times % 2 == 0 { unauthorized } else { ProbeAnswer::Forbidden };
        page.engine.handle_probe(connection, answer, page.now);
        assert!(!page.outputs().contains(&told), "once is enough");
    }
    assert!(delays_ms.iter().any(|&wait_ms| wait_ms > REFUSED_BACKOFF_CAP_MS / 2));
    // "Try now", the network, or the page that is looked at again.
    page.engine.wake(page.now);
    assert!(page.outputs().contains(&Output::ResolveToken { fresh: true }));
    page.engine.handle_token(page.now);
    page.establish(ConnectionNo(second.0 + 201), 0, 0);
    assert_eq!(page.engine.status(), Status::Connected);
    assert!(page.outputs().contains(&Output::Transmit(send)));
}

#[test]
fn only_the_application_ends_a_refusal() {
    let mut page = Page::new();
    page.engine.sign_in(page.now);
    for _ in 0..2 {
        let connection = page.open();
        page.engine.handle_closed(connection, 1006, None, page.now);
        page.engine.handle_probe(connection, ProbeAnswer::Unauthorized, page.now);
    }
    page.next_timer();
    page.outputs();
    page.engine.handle_no_token(NoToken::SignedOut, page.now);
    assert!(page.outputs().contains(&Output::IdentityRefused { is_final: true }));
    assert_eq!((page.engine.status(), page.engine.retry_at()), (Status::Refused, None));
    assert_eq!(page.engine.poll_timeout(), None);
}

#[test]
fn an_answer_that_is_not_the_servers_signs_nobody_out_however_often_it_comes() {
    let mut page = Page::new();
    page.engine.sign_in(page.now);
    for _ in 0..3 {
        let connection = page.open();
        page.engine.handle_closed(connection, 1006, None, page.now);
        page.engine.handle_probe(connection, ProbeAnswer::Unreachable, page.now);
        assert!(!page.outputs().contains(&Output::IdentityRefused { is_final: false }));
        assert_eq!(page.engine.wait_reason(), Some(WaitReason::Unreachable));
        page.next_timer();
        assert_eq!(page.engine.wait_reason(), None);
        // A proxy's 401 says nothing about the token either.
        assert!(page.outputs().contains(&Output::ResolveToken { fresh: false }));
        page.engine.handle_no_token(NoToken::Failed, page.now);
        assert_eq!(page.engine.wait_reason(), Some(WaitReason::NoToken));
        page.next_timer();
    }
}

#[test]
fn a_status_is_a_refusal_only_with_the_servers_own_code_beside_it() {
    // 403 from a proxy during a deploy signed people out for good.
    for status in 0..=u16::MAX {
        for code in ErrorCode::ALL.map(Some).into_iter().chain([None]) {
            let answer = ProbeAnswer::of(status, code, None);
            let refuses = matches!(answer, ProbeAnswer::Unauthorized | ProbeAnswer::Forbidden);
            let has_form = matches!(
                (status, code),
                (401, Some(ErrorCode::Unauthorized)) | (403, Some(ErrorCode::Forbidden))
            );
            assert_eq!(refuses, has_form, "{status} {code:?}");
        }
    }
}

#[test]
fn a_close_code_counts_only_once_the_server_has_shown_that_it_is_one() {
    // A gateway that ends WebSockets itself closes with 4401 or 4403 when its own check fails, and
    // the person was signed out.
    for code in [4401, 4403] {
        let mut page = Page::new();
        page.engine.sign_in(page.now);
        let connection = page.open();
        page.engine.handle_opened(connection, page.now);
        page.engine.handle_closed(connection, code, None, page.now);
        assert_eq!(page.outputs(), [Output::Probe(connection)], "{code}");
        page.engine.handle_probe(connection, ProbeAnswer::Acceptable, page.now);
        assert_eq!(page.engine.status(), Status::Waiting);
        assert_eq!(page.engine.wait_reason(), Some(WaitReason::NoUpgrade));
    }
}

#[test]
fn a_token_that_is_not_valid_yet_is_waited_for_and_asked_for_again() {
    let mut page = Page::new();
    page.engine.sign_in(page.now);
    let connection = page.open();
    page.engine.handle_closed(connection, 1006, None, page.now);
    let early = ProbeAnswer::TokenNotYetValid { retry_after_ms: Some(40_000) };
    page.engine.handle_probe(connection, early, page.now);
    assert_eq!(page.engine.wait_reason(), Some(WaitReason::TokenNotYetValid));
    page.outputs();
    assert!(page.next_timer() >= 40_000);
    // The one that the application has may well be it.
    assert!(page.outputs().contains(&Output::ResolveToken { fresh: false }));
}

#[test]
fn a_person_is_not_signed_out_because_the_fresh_token_could_not_be_fetched() {
    // The old token was tried a second time, and its second refusal counted.
    let (mut page, connection) = Page::connected(0, 0);
    page.outputs();
    page.engine.handle_closed(connection, 4401, None, page.now);
    assert!(page.outputs().contains(&Output::ResolveToken { fresh: true }));
    page.engine.handle_no_token(NoToken::Failed, page.now);
    assert_eq!(page.engine.status(), Status::Waiting);
    page.next_timer();
    assert!(page.outputs().contains(&Output::ResolveToken { fresh: true }));
}

#[test]
fn a_fresh_token_that_grew_old_on_a_dead_network_is_replaced() {
    let (mut page, connection) = Page::connected(0, 0);
    page.outputs();
    page.engine.handle_closed(connection, 4401, None, page.now);
    let attempt = page.open();
    page.engine.handle_closed(attempt, 1006, None, page.now);
    page.engine.handle_probe(attempt, ProbeAnswer::Unreachable, page.now);
    page.outputs();
    page.next_timer();
    assert!(page.outputs().contains(&Output::ResolveToken { fresh: true }));
}

#[test]
fn an_expired_token_costs_one_reconnect_even_if_it_happens_every_hour() {
    let (mut page, mut connection) = Page::connected(0, 0);
    for _ in 0..3 {
        page.pass(STABLE_AFTER_MS);
        page.engine.handle_closed(connection, 4401, None, page.now);
        connection = page.open();
        page.establish(connection, 0, 0);
        assert_eq!(page.engine.status(), Status::Connected);
    }
}

#[test]
fn no_token_means_signed_out_and_a_failing_callback_means_try_again() {
    let mut page = Page::new();
    page.engine.sign_in(page.now);
    page.engine.handle_no_token(NoToken::Failed, page.now);
    assert_eq!(page.engine.status(), Status::Waiting);
    page.next_timer();
    page.engine.handle_no_token(NoToken::SignedOut, page.now);
    assert_eq!(page.engine.status(), Status::Refused);
}

#[test]
fn the_token_is_renewed_in_place_before_it_runs_out() {
    let (mut page, connection) = Page::connected(0, 0);
    page.outputs();
    while page.now.as_millis() < 1_000 + HOUR_MS / 5 * 4 {
        page.engine.handle_received(connection);
        page.next_timer();
    }
    assert!(page.outputs().contains(&Output::ResolveToken { fresh: true }));
    page.engine.handle_token(page.now);
    assert!(page.outputs().contains(&Output::Authenticate));
    assert_eq!(page.engine.status(), Status::Connected);
}

#[test]
fn a_short_connection_does_not_reset_the_backoff_and_a_long_one_does() {
    let longest_first_delay = |stable_ms: u64| {
        (0..200_u64)
            .map(|seed| {
                let mut page = Page::new();
                page.engine = Engine::new(seed);
                page.engine.sign_in(page.now);
                for _ in 0..6 {
                    page.engine.handle_no_token(NoToken::Failed, page.now);
                    page.next_timer();
                }
                let connection = page.open();
                page.establish(connection, 0, 0);
                page.pass(stable_ms);
                page.engine.handle_closed(connection, 1006, None, page.now);
                page.engine.retry_at().expect("a retry is planned").millis_since(page.now)
            })
            .max()
            .unwrap()
    };
    assert!(longest_first_delay(STABLE_AFTER_MS - 1) > 10_000);
    assert!(longest_first_delay(STABLE_AFTER_MS) <= 500);
}

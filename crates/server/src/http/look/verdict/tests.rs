use super::*;
use crate::store::{Head, MessageReport};

fn seq(number: u64) -> Seq {
    Seq::new(number).unwrap()
}

/// A mailbox of 50 messages, the first 10 of which are not kept any more, and message 43, which is asked about.
fn report(devices: &[(&str, u64)]) -> Report {
    let device = |(name, cursor): &(&str, u64)| DeviceReport {
        device: name.parse().unwrap(),
        cursor: seq(*cursor),
        seen_at: 0,
    };
    let message =
        MessageReport { id: "m43".parse().unwrap(), kind: "note".into(), published_at: 0 };
    Report {
        head: Head { seq: seq(50), id: None, epoch: "e".parse().unwrap() },
        trimmed: seq(10),
        devices: devices.iter().map(device).collect(),
        message: Some(message),
        sends: Vec::new(),
        sign_outs: Vec::new(),
        streams: Vec::new(),
    }
}

fn present(device: Option<&str>, sent: Option<u64>, waits: Waits) -> Present {
    let device = device.map(|name| name.parse().unwrap());
    let stands = Stands {
        sent: sent.map(seq),
        waiting: 0,
        unhandled: 3,
        waits,
        stuck_since: None,
        unsent_bytes: 4_711,
        is_held: false,
    };
    let (connection, network) = ("c1".parse().unwrap(), None);
    Present { connection, device, network, since_ms: 0, stands, waits_since_ms: 1_000 }
}

/// For two days, and as many as there are.
const RETENTION: Retention = Retention { age_ms: 172_800_000, messages_max: 0 };

fn one(seq_no: u64, report: &Report, present: &[Present]) -> (State, String) {
    let mut verdicts = verdicts(seq(seq_no), (report, RETENTION), present);
    assert_eq!(verdicts.len(), 1, "{verdicts:?}");
    let Verdict { state, says, .. } = verdicts.remove(0);
    (state, says)
}

#[track_caller]
fn says((state, says): (State, String), expected: State, words: &str) {
    assert_eq!(state, expected, "{says}");
    assert!(says.contains(words), "{says}");
}

#[test]
fn what_was_not_published_has_arrived_nowhere() {
    says(
        one(51, &report(&[("laptop", 50)]), &[]),
        State::Unpublished,
        "the newest of this user is 50",
    );
}

#[test]
fn what_was_handled_is_known_by_the_cursor() {
    says(one(43, &report(&[("laptop", 43)]), &[]), State::Handled, "everything up to 43");
}

#[test]
fn what_was_trimmed_before_it_was_handled_is_lost_to_that_device() {
    says(one(10, &report(&[("laptop", 9)]), &[]), State::Trimmed, "messages up to 10");
    // One that handled it before that has had it.
    says(one(10, &report(&[("laptop", 10)]), &[]), State::Handled, "up to 10");
}

#[test]
fn what_was_trimmed_is_said_to_be_old_or_one_of_too_many() {
    let report = report(&[("laptop", 3)]);
    let why = |number, messages_max| {
        let retention = Retention { messages_max, ..RETENTION };
        verdicts(seq(number), (&report, retention), &[]).remove(0).says
    };
    for (number, messages_max, words) in [
        (4, 44, "only the newest 44 are"),
        (6, 44, "only the newest 44 are, which begin after 6"),
        (7, 44, "messages up to 10 were older than 2 days"),
        (10, 0, "were older than 2 days"),
        // The limit was lowered, and has not been carried out yet.
        (10, 20, "only the newest 20 are, which begin after 10"),
    ] {
        let says = why(number, messages_max);
        assert!(says.contains(words), "{number} of {messages_max}: {says}");
    }
}

#[test]
fn what_was_changed_in_the_file_is_not_delivered() {
    let report = Report { message: None, ..report(&[("laptop", 9)]) };
    says(one(43, &report, &[]), State::Unreadable, "was changed in the file");
}

#[test]
fn a_device_that_is_away_gets_it_later() {
    says(one(43, &report(&[("laptop", 42)]), &[]), State::Away, "gets this one when it comes back");
}

#[test]
fn what_was_sent_and_not_acknowledged_is_with_the_page() {
    let connected = [present(Some("laptop"), Some(43), Waits::ForNothing)];
    says(one(43, &report(&[("laptop", 42)]), &connected), State::Sent, "3 of what it was sent");
}

#[test]
fn a_connection_that_is_behind_says_what_it_waits_for() {
    for (waits, words) in [
        (Waits::ForTheSocket, "4711 bytes, and has taken nothing since 1970-01-01T00:00:01.000Z"),
        (Waits::ForAcknowledgement, "3 messages are not acknowledged"),
        (Waits::ForTheStore, "is being read"),
        (Waits::ForItsTurn, "comes in a moment"),
        (Waits::ForItsRate, "waits since 1970-01-01T00:00:01.000Z for a rate"),
    ] {
        let connected = [present(Some("laptop"), Some(42), waits)];
        says(one(43, &report(&[("laptop", 0)]), &connected), State::Waiting, words);
    }
    let connected = [present(Some("laptop"), None, Waits::ToBeAsked)];
    says(one(43, &report(&[("laptop", 0)]), &connected), State::Waiting, "`get_pending`");
}

#[test]
fn of_several_connections_of_a_device_the_furthest_counts() {
    let connected = [
        present(Some("laptop"), Some(50), Waits::ForNothing),
        present(Some("laptop"), None, Waits::ForTheStore),
    ];
    says(one(43, &report(&[("laptop", 0)]), &connected), State::Sent, "not acknowledged");
}

#[test]
fn a_connection_without_a_device_is_one_of_those_who_get_it() {
    let connected = [present(None, Some(50), Waits::ForNothing)];
    says(one(43, &report(&[]), &connected), State::Sent, "A connection without a device (c1)");
    assert_eq!(verdicts(seq(43), (&report(&[("laptop", 50)]), RETENTION), &connected).len(), 2);
}

#[test]
fn where_nobody_ever_was_that_is_why() {
    says(one(43, &report(&[]), &[]), State::Nobody, "the first that connects gets it");
    says(one(5, &report(&[]), &[]), State::Nobody, "is not kept any more");
}

#[test]
fn what_is_not_known_to_be_sent_is_not_said_to_be() {
    // A connection whose history was still looked up had nothing waiting, and so everything was said to be sent.
    let connected = [present(Some("laptop"), None, Waits::ForTheStore)];
    says(one(43, &report(&[("laptop", 0)]), &connected), State::Waiting, "was sent nothing");
}

#[test]
fn what_lies_in_the_socket_is_not_blamed_on_the_handler() {
    let connected = [present(Some("laptop"), Some(43), Waits::ForTheSocket)];
    says(one(43, &report(&[("laptop", 0)]), &connected), State::Sent, "in its socket");
}

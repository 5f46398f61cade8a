use std::{sync::Arc, time::Duration};

use tetherline_protocol::Limits;

use super::*;
use crate::{
    May,
    connection::{
        hub::Hub,
        session::{Wire, WrittenLimits},
    },
    store::{Head, fresh_id},
};

struct Connection {
    hub: Arc<Hub>,
    pump: Pump,
    now: Instant,
}

impl Connection {
    /// It is at the end of a mailbox of three messages, and its socket is free.
    fn open() -> Self {
        let limits = Limits::default();
        let hub = Arc::new(Hub::new(&limits));
        let membership = hub.join(&user(), Some("s1".into())).ok().unwrap();
        let head = Head { seq: seq(3), id: None, epoch: "e.0".parse().unwrap() };
        let opening = Opening {
            connection: fresh_id(),
            user: user(),
            wire: Wire::V1,
            place: Place {
                head,
                cursor: Seq::ZERO,
                cursor_id: None,
                floor: Seq::ZERO,
                trimmed: Seq::ZERO,
                trimmed_id: None,
            },
            token_expires_in: Duration::from_hours(1),
            may: May::EVERYTHING,
            written_limits: WrittenLimits::new(&limits),
            limits: Arc::new(limits),
            meters: Arc::default(),
            time_ms: 0,
        };
        let now = Instant::now();
        let mut connection = Self { hub, pump: Pump::open(opening, membership, None, now), now };
        let established = connection.poll();
        assert!(matches!(established, Some(Action::Write(_))), "{established:?}");
        connection.handle(Event::Text(r#"{"type":"get_pending","after":3}"#));
        connection.handle(Event::Written);
        let complete = connection.poll();
        assert!(matches!(complete, Some(Action::Write(_))), "{complete:?}");
        connection.handle(Event::Written);
        connection
    }

    fn handle(&mut self, event: Event<'_>) {
        self.pump.handle(event, self.now);
    }

    fn poll(&mut self) -> Option<Action> {
        self.pump.poll(self.now)
    }

    fn acknowledge(&mut self, seq: u64) -> Option<Action> {
        self.handle(Event::Text(&format!(r#"{{"type":"ack","seq":{seq}}}"#)));
        self.poll()
    }
}

fn user() -> UserId {
    "ada".parse().unwrap()
}

fn seq(number: u64) -> Seq {
    Seq::new(number).unwrap()
}

#[test]
fn the_goodbye_waits_for_every_acknowledgement() {
    let mut connection = Connection::open();
    assert!(matches!(connection.acknowledge(1), Some(Action::Acknowledge(it)) if it == seq(1)));
    assert!(connection.acknowledge(3).is_none(), "one at a time");
    connection.handle(Event::Closed(Some(1000)));
    assert!(connection.poll().is_none());
    connection.handle(Event::Acknowledged);
    let last = connection.poll();
    assert!(matches!(last, Some(Action::Acknowledge(it)) if it == seq(3)), "{last:?}");
    assert!(connection.poll().is_none());
    connection.handle(Event::Acknowledged);
    let saved = connection.poll();
    assert!(matches!(saved, Some(Action::SaveCursor)), "{saved:?}");
    assert!(connection.poll().is_none(), "it is not in the file yet");
    connection.handle(Event::Acknowledged);
    let goodbye = connection.poll();
    assert!(matches!(goodbye, Some(Action::Close(Some(Goodbye::Answer(Some(1000)))))));
    assert!(connection.poll().is_none(), "it is said once");
}

#[test]
fn a_store_that_takes_no_acknowledgement_holds_up_a_goodbye_for_a_bounded_time() {
    let mut connection = Connection::open();
    assert!(matches!(connection.acknowledge(1), Some(Action::Acknowledge(_))));
    connection.hub.send_all_away(Duration::from_secs(30));
    connection.handle(Event::Woken);
    assert!(connection.poll().is_none());
    let until = connection.pump.timeout().unwrap();
    assert_eq!(until, connection.now + CLOSE_TIMEOUT);
    connection.handle(Event::Timeout);
    assert!(connection.poll().is_none(), "it is not time");
    connection.now = until;
    connection.handle(Event::Timeout);
    let goodbye = connection.poll();
    assert!(
        matches!(goodbye, Some(Action::Close(Some(Goodbye::Ours(CloseCode::Restart, _))))),
        "{goodbye:?}"
    );
}

#[test]
fn what_the_hub_says_is_heard_before_anything_else_that_happens() {
    let mut connection = Connection::open();
    connection.hub.sign_out(&user(), Some("s1"));
    connection.handle(Event::Text(r#"{"type":"question","id":"m1"}"#));
    let goodbye = connection.poll();
    assert!(
        matches!(goodbye, Some(Action::Close(Some(Goodbye::Ours(CloseCode::TokenExpired, _))))),
        "{goodbye:?}"
    );
}

#[test]
fn messages_in_memory_are_read_in_passing() {
    let mut connection = Connection::open();
    let delivery = Delivery { seq: seq(4), text: "{4}".into() };
    connection.hub.appended(&user(), seq(4), None, || Some(delivery));
    connection.handle(Event::Woken);
    let written = connection.poll();
    let text = Outgoing::Text("{4}".into());
    assert!(matches!(&written, Some(Action::Write(it)) if *it == [text]), "{written:?}");
}

#[test]
fn a_sign_in_that_ends_while_it_is_looked_up_closes_its_connection() {
    let mut connection = Connection::open();
    connection.handle(Event::Text(r#"{"type":"authenticate","token":"t"}"#));
    assert!(matches!(connection.poll(), Some(Action::Verify(_))));
    let expires_in = Duration::from_hours(2);
    let session = Some("s2".into());
    let may = May::EVERYTHING;
    let identity = Identity { user: user(), session, made_ms: None, expires_in, may };
    connection.handle(Event::Verified(Ok(identity)));
    assert!(matches!(connection.poll(), Some(Action::LookUp(it)) if it.user == user()));
    connection.hub.sign_out(&user(), Some("s2"));
    connection.handle(Event::Woken);
    assert!(matches!(connection.poll(), Some(Action::Close(Some(Goodbye::Ours(..))))));
}

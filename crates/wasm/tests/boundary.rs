//! The boundary as JavaScript sees it: numbers in, numbers out.
//!
//! One test only, since an instance belongs to one thread.

use tetherline_wasm as engine;
use tetherline_wasm::codes::{
    delivery, not_taken, outcome,
    output::{
        ACK, GET_PENDING, OPEN, RESOLVE_TOKEN, SETTLED, STATUS_CHANGED, STREAM_DROPPED, TRANSMIT,
    },
    status,
};

const DAY_MS: f64 = 86_400_000.0;

fn drain() -> Vec<(u32, f64, f64)> {
    std::iter::from_fn(|| match engine::poll() {
        0 => None,
        kind => Some((kind, engine::arg_a(), engine::arg_b())),
    })
    .collect()
}

#[test]
fn a_client_lives_from_sign_in_to_sign_out_in_numbers() {
    // The crate once exported `poll` and `send` on every target, and so replaced libc's: this very
    // binary could not even list its tests.
    assert!(std::net::TcpListener::bind("127.0.0.1:0").is_ok());

    engine::init(1, 2);
    engine::sign_in(0.0);
    assert_eq!(drain(), [(RESOLVE_TOKEN, 0.0, 0.0), (STATUS_CHANGED, 0.0, 0.0)]);
    engine::token(1.0);
    assert_eq!(drain(), [(OPEN, 1.0, 0.0)]);
    engine::opened(1, 2.0);
    engine::established(1, 7, 5.0, 3.0, 0, 0, 30_000.0, 60_000.0, 3.0);
    assert_eq!(drain(), [(STATUS_CHANGED, 0.0, 0.0), (GET_PENDING, 3.0, 7.0)]);
    assert_eq!(engine::status(), status::CONNECTED);

    let told = |seq, id, handlers| {
        (engine::message(1, seq, id, handlers, 100) % delivery::FORESEEN) & !delivery::POLL
    };
    assert_eq!(told(4.0, 1, 1), delivery::DELIVER | delivery::REPLAYED | delivery::REACHED);
    assert_eq!(told(4.0, 2, 1), 0, "a duplicate");
    assert_eq!(engine::position_id(), 1);
    assert_eq!(told(5.0, 3, 0), delivery::PARK | delivery::REPLAYED | delivery::REACHED);
    assert_eq!(told(6.0, 0, 1), delivery::DELIVER | delivery::REACHED, "a message without an id");
    engine::unpark(5.0, 4.0);
    let foreseen = engine::message(1, 7.0, 4, 1, 100) / delivery::FORESEEN;
    assert!(foreseen >= 2, "{foreseen}");
    engine::passed(1, 9.0, 5);
    assert_eq!(engine::position_id(), 5);
    engine::timeout(engine::next_timeout());
    assert_eq!(drain(), [(ACK, 9.0, 0.0)]);
    assert!(engine::position() - 9.0 == 0.0);

    assert_eq!((engine::stream_start(1, 1, 1), engine::stream_start(1, 1, 1)), (1, 0));
    assert_eq!(engine::stream_start(1, 2, 0), 0, "attempts count from 1");
    assert_eq!(engine::stream_delta(1, 1, 1, 0.0, 5), 0);
    assert_eq!(engine::stream_delta(1, 1, 1, 3.0, 5), 2);
    assert_eq!(engine::stream_delta(1, 1, 1, 0.0, 8), -1, "it is there already");
    assert_eq!(drain(), []);
    engine::complete(1, 150.0);
    assert_eq!(engine::stream_delta(1, 1, 1, 9.0, 1), -1);
    assert_eq!(drain(), [(GET_PENDING, 9.0, 7.0)], "a hole");
    assert_eq!((engine::stream_end(1, 1, 1), engine::stream_end(1, 1, 1)), (1, 0));

    assert_eq!(engine::send(10, DAY_MS, 0, 200.0), 1);
    assert_eq!(drain(), [(TRANSMIT, 1.0, 0.0)]);
    engine::accepted(1, 1, 201.0);
    assert_eq!(drain(), [(SETTLED, 1.0, 0.0)]);
    engine::hold_sends(1, 201.0);
    assert_eq!(engine::send(10, 50.0, 0, 201.0), 2);
    assert_eq!(engine::send(10, DAY_MS, 1, 201.0), 3);
    assert_eq!(drain(), []);
    engine::hold_sends(0, 202.0);
    assert_eq!(drain(), [(TRANSMIT, 3.0, 0.0), (TRANSMIT, 2.0, 0.0)]);
    assert_eq!(engine::send(10, 3.0 * DAY_MS, 0, 203.0), 4);
    let too_long = engine::send(10, 3.0 * DAY_MS + 1.0, 0, 203.0);
    assert_eq!(too_long, not_taken::TTL_TOO_LONG, "longer than a repeat is known");
    assert!(engine::next_timeout() - 251.0 == 0.0, "each has its own time");
    engine::timeout(251.0);
    assert!(drain().contains(&(SETTLED, 2.0, outcome::EXPIRED.into())), "expired");
    engine::sign_out(252.0);
    assert!(drain().contains(&(STREAM_DROPPED, 0.0, 0.0)));
    assert_eq!(engine::send(10, DAY_MS, 0, 253.0), not_taken::SIGNED_OUT);
    assert!(engine::next_timeout() < 0.0);
}

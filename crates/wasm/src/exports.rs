//! What JavaScript calls. Every function is the engine's method of the same name.
//!
//! Elsewhere than in WebAssembly the names stay mangled: `send` and `poll` would replace libc's.
#![cfg_attr(
    target_arch = "wasm32",
    expect(
        unsafe_code,
        reason = "an export is `#[unsafe(no_mangle)]`; no body has an unsafe block"
    )
)]

use tetherline_engine::{
    ConnectionNo, Delivery, Engine, EpochNo, Established, IdNo, NoToken, ProbeAnswer, SendNo,
    SendRefused, TabNo,
};
use tetherline_protocol::ErrorCode;

use crate::{
    codes::{delivery, not_taken},
    instance::{self, with},
    numbers::{instant, mark, optional_millis, seq},
    tabs,
};

/// Creates the engine. The seed decides the jitter.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn init(seed_low: u32, seed_high: u32) {
    instance::create(u64::from(seed_high) << 32 | u64::from(seed_low));
}

/// Somebody is signed in.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn sign_in(now: f64) {
    with(|it| it.engine.sign_in(instant(now)));
}

/// Somebody is signed in, in one of several tabs that share a connection.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn sign_in_among_tabs(visible: u32, now: f64) {
    with(|it| it.engine.sign_in_among_tabs(visible != 0, instant(now)));
}

/// This page goes away; in other tabs the person stays signed in.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn leave(now: f64) {
    with(|it| it.engine.leave(instant(now)));
}

/// This page may be kept without running.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn step_away(now: f64) {
    with(|it| it.engine.step_away(instant(now)));
}

/// The lock is granted (1), or was taken by another tab (0).
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn lock(granted: u32, now: f64) {
    with(|it| match granted {
        0 => it.engine.handle_lock_lost(instant(now)),
        _ => it.engine.handle_lock(instant(now)),
    });
}

/// Another tab has said something: a kind and three numbers, as [`crate::poll`] gave them there.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn tab(from: u32, kind: u32, a: f64, b: f64, c: f64, now: f64) {
    if let Some(message) = tabs::decode(kind, [a as u64, b as u64, c as u64]) {
        with(|it| it.engine.handle_tab(TabNo(from), message, instant(now)));
    }
}

/// The tab that leads is connected, and says so to all (1) or to this one (0). It is at this position
/// and message; -1 if its server checks none.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn welcome(
    from: u32,
    to_all: u32,
    epoch: u32,
    head: f64,
    cursor: f64,
    position: f64,
    id: u32,
    heartbeat_ms: f64,
    now: f64,
) {
    let established = Established {
        epoch: EpochNo(epoch),
        head: seq(head),
        cursor: seq(cursor).into(),
        checks_positions: position >= 0.0,
        heartbeat_interval_ms: heartbeat_ms as u64,
        // Tokens are the leading tab's business.
        token_expires_in_ms: u64::MAX,
    };
    let position = (position >= 0.0).then(|| mark(position, id));
    with(|it| {
        it.engine.handle_welcome(TabNo(from), established, position, to_all != 0, instant(now));
    });
}

/// Another tab needs what comes after a position, at which it knows this message; 0 if it need not prove
/// that.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn ask(after: f64, id: u32, epoch: u32, now: f64) {
    with(|it| it.engine.handle_ask(mark(after, id), EpochNo(epoch), instant(now)));
}

/// Nobody is signed in any more.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn sign_out(now: f64) {
    with(|it| it.engine.sign_out(instant(now)));
}

/// The token that was asked for is there.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn token(now: f64) {
    with(|it| it.engine.handle_token(instant(now)));
}

/// There is no token: `signed_out` is 1 if the application said so, 0 if it failed.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn token_unavailable(signed_out: u32, now: f64) {
    let reason = if signed_out == 1 { NoToken::SignedOut } else { NoToken::Failed };
    with(|it| it.engine.handle_no_token(reason, instant(now)));
}

/// The socket is open.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn opened(connection: u32, now: f64) {
    with(|it| it.engine.handle_opened(ConnectionNo(connection), instant(now)));
}

/// The socket is closed. `retry_after_ms` is when the server wants this client back, 0 if it does not say.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn closed(connection: u32, code: u32, retry_after_ms: u32, now: f64) {
    let code = u16::try_from(code).unwrap_or(1006);
    let told = (retry_after_ms > 0).then_some(retry_after_ms.into());
    with(|it| it.engine.handle_closed(ConnectionNo(connection), code, told, instant(now)));
}

/// The probe's answer: an HTTP status, 0 if there was none, and the number of the code in its body,
/// as the generated `ERROR_CODES` has them, −1 if the body has not the server's form.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn probed(connection: u32, status: u32, code: i32, retry_after_ms: f64, now: f64) {
    let status = u16::try_from(status).unwrap_or_default();
    let code = usize::try_from(code).ok().and_then(|code| ErrorCode::ALL.get(code).copied());
    let answer = ProbeAnswer::of(status, code, optional_millis(retry_after_ms));
    with(|it| it.engine.handle_probe(ConnectionNo(connection), answer, instant(now)));
}

/// `connection_established` has come. Equal epochs have equal numbers; `cursor_id` is the number of the
/// message at the cursor, 0 if it is not said; `checks` is 1 if the server checks positions.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn established(
    connection: u32,
    epoch: u32,
    head: f64,
    cursor: f64,
    cursor_id: u32,
    checks: u32,
    heartbeat_ms: f64,
    token_expires_ms: f64,
    now: f64,
) {
    let established = Established {
        epoch: EpochNo(epoch),
        head: seq(head),
        cursor: mark(cursor, cursor_id),
        checks_positions: checks != 0,
        heartbeat_interval_ms: heartbeat_ms as u64,
        token_expires_in_ms: token_expires_ms as u64,
    };
    with(|it| it.engine.handle_established(ConnectionNo(connection), established, instant(now)));
}

/// A message for the application has come; `number` is its seq, 0 for a live-only one, `id` is the number
/// of its id. Answers [`delivery`].
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn message(connection: u32, number: f64, id: u32, handlers: u32, size: u32) -> u32 {
    let position = (number > 0.0).then(|| mark(number, id));
    deliver(IdNo(id), |engine| {
        engine.handle_message(ConnectionNo(connection), position, handlers, size as usize)
    })
}

/// The same for a message with a seq and without a handler, whose type is held.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn held_message(connection: u32, number: f64, id: u32, size: u32) -> u32 {
    deliver(IdNo(id), |engine| {
        engine.handle_held_message(ConnectionNo(connection), mark(number, id), size as usize)
    })
}

fn deliver(id: IdNo, take: impl FnOnce(&mut Engine<()>) -> Delivery) -> u32 {
    with(|it| {
        let taken = take(&mut it.engine);
        let timeout = it.engine.poll_timeout();
        let poll = it.engine.has_output() || timeout != it.timeout;
        it.timeout = timeout;
        let answer = match taken {
            Delivery::Drop => 0,
            Delivery::Deliver { replayed: false } => delivery::DELIVER,
            Delivery::Deliver { replayed: true } => delivery::DELIVER | delivery::REPLAYED,
            Delivery::Park { replayed: false } => delivery::PARK,
            Delivery::Park { replayed: true } => delivery::PARK | delivery::REPLAYED,
            Delivery::Unhandled { replayed: false } => delivery::UNHANDLED,
            Delivery::Unhandled { replayed: true } => delivery::UNHANDLED | delivery::REPLAYED,
        };
        let answer = if poll { answer | delivery::POLL } else { answer };
        let reached = if it.engine.position_id() == id { delivery::REACHED } else { 0 };
        answer | reached | (it.engine.foreseen() * delivery::FORESEEN)
    })
}

/// Up to this one, the messages came that were foreseen, and were delivered.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn passed(connection: u32, number: f64, id: u32) {
    with(|it| it.engine.handle_foreseen(ConnectionNo(connection), mark(number, id)));
}

/// A handler of the message just delivered returned a promise.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn hold(number: f64, now: f64) {
    with(|it| it.engine.hold(seq(number), instant(now)));
}

/// Every handler of a held message has settled.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn handled(number: f64, now: f64) {
    with(|it| it.engine.handled(seq(number), instant(now)));
}

/// A parked message is being delivered.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn unpark(number: f64, now: f64) {
    with(|it| it.engine.unpark(seq(number), instant(now)));
}

/// The type of a parked message is held from now on.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn keep(number: f64) {
    with(|it| it.engine.keep(seq(number)));
}

/// A frame that needs nothing else has come.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn received(connection: u32) {
    with(|it| it.engine.handle_received(ConnectionNo(connection)));
}

/// `pending_check_complete` has come.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn complete(connection: u32, now: f64) {
    with(|it| it.engine.handle_complete(ConnectionNo(connection), instant(now)));
}

/// `mailbox_gap` has come; `passed` is the number of the last message before `next`, 0 if it is not said.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn gap(connection: u32, after: f64, next: f64, passed: u32, now: f64) {
    with(|it| {
        let (connection, now) = (ConnectionNo(connection), instant(now));
        it.engine.handle_gap(connection, seq(after), seq(next), IdNo(passed), now);
    });
}

/// `position_checked` has come: positions, and the numbers of the messages there, 0 if they are not said.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn checked(
    connection: u32,
    after: f64,
    after_id: u32,
    from: f64,
    from_id: u32,
    now: f64,
) {
    with(|it| {
        let (after, from) = (mark(after, after_id), mark(from, from_id));
        it.engine.handle_checked(ConnectionNo(connection), after, from, instant(now));
    });
}

/// `accepted` has come for a send.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn accepted(connection: u32, send: u32, now: f64) {
    with(|it| it.engine.handle_accepted(ConnectionNo(connection), SendNo(send), instant(now)));
}

/// `error` has come for a send; `retryable` is 0 or 1.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn refused(
    connection: u32,
    send: u32,
    retryable: u32,
    retry_after_ms: f64,
    now: f64,
) {
    with(|it| {
        it.engine.handle_refused(
            ConnectionNo(connection),
            SendNo(send),
            retryable != 0,
            optional_millis(retry_after_ms),
            instant(now),
        );
    });
}

/// Takes a message of this size into the outbox, for this long; `restored` is 1 for one of an
/// earlier page. Answers its number, or one of [`not_taken`].
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn send(size: u32, ttl_ms: f64, restored: u32, now: f64) -> i32 {
    let (size, ttl_ms, now) = (size as usize, ttl_ms as u64, instant(now));
    with(|it| {
        let taken = match restored {
            0 => it.engine.send_within((), size, ttl_ms, now),
            _ => it.engine.restore((), size, ttl_ms, now),
        };
        match taken {
            Ok(SendNo(number)) => number as i32,
            Err(SendRefused::SignedOut) => not_taken::SIGNED_OUT,
            Err(SendRefused::OutboxFull) => not_taken::OUTBOX_FULL,
            Err(_) => not_taken::TTL_TOO_LONG,
        }
    })
}

/// 1: no send goes out until everything of an earlier page is restored. 0: it is.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn hold_sends(hold: u32, now: f64) {
    with(|it| match hold {
        0 => it.engine.release_sends(instant(now)),
        _ => it.engine.hold_sends(),
    });
}

/// Another tab sends by way of this one's connection. Answers the send's number, or −1 when there is
/// no connection.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn pass_on(now: f64) -> i32 {
    with(|it| it.engine.pass_on((), instant(now)).map_or(-1, |SendNo(number)| number as i32))
}

/// Asks for what waits.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn request_pending(now: f64) {
    with(|it| it.engine.request_pending(instant(now)));
}

/// History was read as of this position.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn history_as_of(number: f64, now: f64) {
    with(|it| it.engine.history_as_of(seq(number), instant(now)));
}

/// The network came (1) or went (0), says the browser.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn online(online: u32, now: f64) {
    with(|it| it.engine.set_online(online != 0, instant(now)));
}

/// The page can be seen (1) or not (0).
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn visible(visible: u32, now: f64) {
    with(|it| it.engine.set_visible(visible != 0, instant(now)));
}

/// The page is visible again, or came back from the back-forward cache.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn wake(now: f64) {
    with(|it| it.engine.wake(instant(now)));
}

/// The timer is due.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn timeout(now: f64) {
    with(|it| it.engine.handle_timeout(instant(now)));
}

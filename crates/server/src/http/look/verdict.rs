//! Why a message has, or has not, arrived at each device, in a sentence.

use serde::Serialize;
use tetherline_protocol::{DeviceId, Seq};
use utoipa::ToSchema;

use super::inspection::Retention;
use crate::{
    clock,
    connection::hub::{Present, Stands, Waits},
    store::{DeviceReport, Report},
};

/// What became of one message at one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct Verdict {
    /// None if it is about all of them, or about a connection without a device.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, nullable = false)]
    device: Option<DeviceId>,
    state: State,
    says: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = VerdictState)]
enum State {
    /// There is no such message yet.
    Unpublished,
    /// Nobody is there who could get it.
    Nobody,
    Handled,
    /// It is not kept any more, and was not handled before that.
    Trimmed,
    /// It was changed in the file.
    Unreadable,
    /// It was sent, and is not acknowledged.
    Sent,
    /// It is still to be sent.
    Waiting,
    /// The device is not connected.
    Away,
}

/// One verdict on the whole, or one for each device and each connection without one.
pub(super) fn verdicts(
    seq: Seq,
    (report, retention): (&Report, Retention),
    present: &[Present],
) -> Vec<Verdict> {
    let kept = kept(seq, report, retention);
    let head = report.head.seq;
    if seq > head {
        let says = format!("There is no message {seq} yet: the newest of this user is {head}.");
        return vec![Verdict { device: None, state: State::Unpublished, says }];
    }
    let devices = report.devices.iter().map(|device| of_device((seq, &kept), device, present));
    let nameless = present.iter().filter(|present| is_unknown(present, report));
    let nameless = nameless.map(|present| of_connection(seq, present));
    let verdicts: Vec<_> = devices.chain(nameless).collect();
    if !verdicts.is_empty() {
        return verdicts;
    }
    let says = match kept {
        Ok(()) => "No device of this user is known, and none is connected: the first that connects gets it.".to_owned(),
        Err((_, why)) => format!("No device of this user is known, and none is connected. {why}"),
    };
    vec![Verdict { device: None, state: State::Nobody, says }]
}

fn is_unknown(present: &Present, report: &Report) -> bool {
    let known = |device: &DeviceId| report.devices.iter().any(|it| it.device == *device);
    !present.device.as_ref().is_some_and(known)
}

/// Whether a message can be delivered at all, or why not.
type Kept = Result<(), (State, String)>;

fn of_device((seq, kept): (Seq, &Kept), device: &DeviceReport, present: &[Present]) -> Verdict {
    let DeviceReport { device: name, cursor, seen_at } = device;
    let verdict = |state, says| Verdict { device: Some(name.clone()), state, says };
    if *cursor >= seq {
        let says =
            format!("`{name}` has handled it: it has acknowledged everything up to {cursor}.");
        return verdict(State::Handled, says);
    }
    if let Err((state, why)) = kept {
        let says = format!("`{name}` had acknowledged messages up to {cursor}. {why}");
        return verdict(*state, says);
    }
    let connections = present.iter().filter(|it| it.device.as_ref() == Some(name));
    // Of several, the one that is furthest.
    if let Some(present) = connections.max_by_key(|present| present.stands.sent) {
        return of_connection(seq, present);
    }
    let used = clock::rfc3339(*seen_at);
    let says = format!(
        "`{name}` is not connected, and has acknowledged messages up to {cursor}. It was used last around {}, and gets \
         this one when it comes back.",
        used.as_str()
    );
    verdict(State::Away, says)
}

fn kept(seq: Seq, report: &Report, retention: Retention) -> Kept {
    let (trimmed, by_number) = (report.trimmed, retention.trimmed_by_number(report));
    if seq <= by_number {
        let most = retention.messages_max;
        let why = format!(
            "Message {seq} is not kept any more: only the newest {most} are, which begin after {by_number}."
        );
        return Err((State::Trimmed, why));
    }
    if seq <= trimmed {
        let age = days_or_less(retention.age_ms);
        let why = format!(
            "Message {seq} is not kept any more: messages up to {trimmed} were older than {age}."
        );
        return Err((State::Trimmed, why));
    }
    if report.message.is_none() {
        let why = format!(
            "Message {seq} was changed in the file, or lost from it, and is not delivered."
        );
        return Err((State::Unreadable, why));
    }
    Ok(())
}

/// In the largest unit of which it is a whole number.
fn days_or_less(ms: u64) -> String {
    let units = [(86_400_000, "days"), (3_600_000, "hours"), (60_000, "minutes"), (1_000, "s")];
    let whole = units.into_iter().find(|(unit, _)| ms >= *unit && ms.is_multiple_of(*unit));
    match whole {
        Some((unit, name)) => format!("{} {name}", ms / unit),
        None => format!("{ms} ms"),
    }
}

fn of_connection(seq: Seq, present: &Present) -> Verdict {
    let Present { device, connection, since_ms, stands, .. } = present;
    let who = match device {
        Some(device) => format!("`{device}`"),
        None => format!("A connection without a device ({connection})"),
    };
    let since = clock::rfc3339(*since_ms);
    let who = format!("{who} is connected since {}", since.as_str());
    let state =
        if stands.sent.is_some_and(|sent| sent >= seq) { State::Sent } else { State::Waiting };
    let why = match state {
        State::Sent => why_it_is_not_acknowledged(present),
        _ => why_it_waits(present),
    };
    Verdict { device: device.clone(), state, says: format!("{who} and {why}") }
}

fn why_it_is_not_acknowledged(present: &Present) -> String {
    let Stands { unhandled, waits, unsent_bytes, .. } = present.stands;
    match waits {
        Waits::ForTheSocket => format!(
            "has it in its socket, which has not taken {unsent_bytes} bytes of what was written, and nothing since {}: its \
             network, or the page, does not read.",
            clock::rfc3339(present.waits_since_ms).as_str()
        ),
        _ => format!(
            "was sent it, but has not acknowledged it: {unhandled} of what it was sent are not acknowledged. Its handler \
             has not returned, the page does not run, or the network is slow."
        ),
    }
}

fn why_it_waits(present: &Present) -> String {
    let Stands { sent, unhandled, waits, unsent_bytes, .. } = present.stands;
    let since = clock::rfc3339(present.waits_since_ms);
    let since = since.as_str();
    let sent = match sent {
        Some(sent) => format!("was sent messages up to {sent}"),
        None => "was sent nothing that it has asked for yet".to_owned(),
    };
    match waits {
        Waits::ToBeAsked => {
            "has not said yet from where it goes on (`get_pending`): nothing is sent before that."
                .to_owned()
        }
        Waits::ForTheSocket => {
            format!(
                "{sent}: its network, or the page, does not take what was written to its socket, {unsent_bytes} bytes, and \
                 has taken nothing since {since}."
            )
        }
        Waits::ForAcknowledgement => format!(
            "{sent}: {unhandled} messages are not acknowledged since {since}, and no more are sent before that."
        ),
        Waits::ForItsRate => format!(
            "{sent}; the rest waits since {since} for a rate: more was asked for than a connection, or this user, may have \
             at once (`replay_bytes_per_connection`, `replay_bytes_per_user`)."
        ),
        Waits::ForTheStore | Waits::ForItsTurn | Waits::ForNothing => {
            format!("{sent}; the rest is being read, or comes in a moment.")
        }
    }
}

#[cfg(test)]
mod tests;

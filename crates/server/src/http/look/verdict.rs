//! Why a message has, or has not, arrived at each device, in a sentence.

use serde::Serialize;
use tetherline_protocol::{DeviceId, Seq};
use utoipa::ToSchema;

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
pub(super) fn verdicts(seq: Seq, report: &Report, present: &[Present]) -> Vec<Verdict> {
    let head = report.head.seq;
    if seq > head {
        let says = format!("There is no message {seq} yet: the newest of this user is {head}.");
        return vec![Verdict { device: None, state: State::Unpublished, says }];
    }
    let devices = report.devices.iter().map(|device| of_device(seq, report, device, present));
    let nameless = present.iter().filter(|present| is_unknown(present, report));
    let nameless = nameless.map(|present| of_connection(seq, present));
    let verdicts: Vec<_> = devices.chain(nameless).collect();
    if !verdicts.is_empty() {
        return verdicts;
    }
    let says = match kept(seq, report) {
        Ok(()) => "No device of this user is known, and none is connected: the first that connects gets it.".to_owned(),
        Err((_, why)) => format!("No device of this user is known, and none is connected. {why}"),
    };
    vec![Verdict { device: None, state: State::Nobody, says }]
}

fn is_unknown(present: &Present, report: &Report) -> bool {
    let known = |device: &DeviceId| report.devices.iter().any(|it| it.device == *device);
    !present.device.as_ref().is_some_and(known)
}

fn of_device(seq: Seq, report: &Report, device: &DeviceReport, present: &[Present]) -> Verdict {
    let DeviceReport { device: name, cursor, seen_at } = device;
    let verdict = |state, says| Verdict { device: Some(name.clone()), state, says };
    if *cursor >= seq {
        let says =
            format!("`{name}` has handled it: it has acknowledged everything up to {cursor}.");
        return verdict(State::Handled, says);
    }
    if let Err((state, why)) = kept(seq, report) {
        let says = format!("`{name}` had acknowledged messages up to {cursor}. {why}");
        return verdict(state, says);
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

/// Whether it can be delivered at all, or why not.
fn kept(seq: Seq, report: &Report) -> Result<(), (State, String)> {
    let trimmed = report.trimmed;
    if seq <= trimmed {
        let why = format!(
            "Message {seq} is not kept any more: messages up to {trimmed} were older, or more, than are kept."
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

fn of_connection(seq: Seq, present: &Present) -> Verdict {
    let Present { device, connection, since_ms, stands } = present;
    let who = match device {
        Some(device) => format!("`{device}`"),
        None => format!("A connection without a device ({connection})"),
    };
    let since = clock::rfc3339(*since_ms);
    let who = format!("{who} is connected since {}", since.as_str());
    let state =
        if stands.sent.is_some_and(|sent| sent >= seq) { State::Sent } else { State::Waiting };
    let why = match state {
        State::Sent => why_it_is_not_acknowledged(stands),
        _ => why_it_waits(stands),
    };
    Verdict { device: device.clone(), state, says: format!("{who} and {why}") }
}

fn why_it_is_not_acknowledged(stands: &Stands) -> String {
    let Stands { unhandled, .. } = stands;
    match stands.waits {
        Waits::ForTheSocket => {
            "has it in its socket, which has not taken all that was written: its network, or the page, does not read."
                .to_owned()
        }
        _ => format!(
            "was sent it, but has not acknowledged it: {unhandled} of what it was sent are not acknowledged. Its handler \
             has not returned, the page does not run, or the network is slow."
        ),
    }
}

fn why_it_waits(stands: &Stands) -> String {
    let Stands { sent, unhandled, .. } = stands;
    let sent = match sent {
        Some(sent) => format!("was sent messages up to {sent}"),
        None => "was sent nothing that it has asked for yet".to_owned(),
    };
    match stands.waits {
        Waits::ToBeAsked => {
            "has not said yet from where it goes on (`get_pending`): nothing is sent before that."
                .to_owned()
        }
        Waits::ForTheSocket => {
            format!(
                "{sent}: its network, or the page, does not take what was written to its socket."
            )
        }
        Waits::ForAcknowledgement => format!(
            "{sent}: {unhandled} messages are not acknowledged, and no more are sent before that."
        ),
        Waits::ForTheStore | Waits::ForItsTurn | Waits::ForNothing => {
            format!("{sent}; the rest is being read, or comes when its rate allows it.")
        }
    }
}

#[cfg(test)]
mod tests;

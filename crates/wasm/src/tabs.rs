//! What tabs say to each other, as a kind and three numbers.

use tetherline_engine::{Lead, Phase, TabMessage};

use crate::{codes::tab, reason};

const VISIBLE: u64 = 1;
const CONNECTED: u64 = 2;
const WAITING: u64 = 4;
/// What the leading tab waits for stands above the flags.
const REASON_SHIFT: u32 = 3;
/// The version stands above the number of the attempt, where tabs that have none do not look.
const VERSION_SHIFT: u32 = 32;

pub(crate) fn encode(message: TabMessage) -> (u32, [u64; 3]) {
    let kind = match message {
        TabMessage::Hello => tab::HELLO,
        TabMessage::Lead(lead) => return (tab::LEAD, encode_lead(lead)),
        TabMessage::Ping => tab::PING,
        TabMessage::Pong => tab::PONG,
        TabMessage::TryNow => tab::TRY_NOW,
        TabMessage::SignedOut => tab::SIGNED_OUT,
        TabMessage::Refused => tab::REFUSED,
        // The engine is part of this workspace; a new message has to be given its number here.
        _ => unreachable!("a message without a number"),
    };
    (kind, [0; 3])
}

/// `None` for a kind that only a newer engine says.
pub(crate) fn decode(kind: u32, arguments: [u64; 3]) -> Option<TabMessage> {
    Some(match kind {
        tab::HELLO => TabMessage::Hello,
        tab::LEAD => TabMessage::Lead(decode_lead(arguments)),
        tab::PING => TabMessage::Ping,
        tab::PONG => TabMessage::Pong,
        tab::TRY_NOW => TabMessage::TryNow,
        tab::SIGNED_OUT => TabMessage::SignedOut,
        tab::REFUSED => TabMessage::Refused,
        _ => return None,
    })
}

fn encode_lead(Lead { version, visible, phase }: Lead) -> [u64; 3] {
    let visible = if visible { VISIBLE } else { 0 };
    let (flags, attempt, retry_in_ms) = match phase {
        Phase::Connected => (CONNECTED, 0, 0),
        Phase::Connecting { attempt } => (0, attempt, 0),
        Phase::Waiting { attempt, retry_in_ms, reason } => {
            (WAITING | u64::from(reason::encode(reason)) << REASON_SHIFT, attempt, retry_in_ms)
        }
    };
    [visible | flags, u64::from(version) << VERSION_SHIFT | u64::from(attempt), retry_in_ms]
}

fn decode_lead([flags, attempt, retry_in_ms]: [u64; 3]) -> Lead {
    let version = (attempt >> VERSION_SHIFT) as u32;
    let attempt = attempt as u32;
    let phase = if flags & CONNECTED != 0 {
        Phase::Connected
    } else if flags & WAITING != 0 {
        let reason = reason::decode((flags >> REASON_SHIFT) as u32);
        Phase::Waiting { attempt, retry_in_ms, reason }
    } else {
        Phase::Connecting { attempt }
    };
    Lead { version, visible: flags & VISIBLE != 0, phase }
}

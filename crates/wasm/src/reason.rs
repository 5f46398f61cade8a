//! What the next attempt waits for, as a number.

use tetherline_engine::WaitReason;

pub(crate) fn encode(reason: WaitReason) -> u64 {
    match reason {
        WaitReason::Lost => 0,
        WaitReason::NoToken => 1,
        WaitReason::Unreachable => 2,
        WaitReason::NoUpgrade => 3,
        WaitReason::Busy => 4,
        WaitReason::TokenNotYetValid => 5,
        WaitReason::Refused => 6,
        // The engine is part of this workspace; a new reason has to be given its number here.
        _ => unreachable!("a reason without a number"),
    }
}

/// Tabs of an older version say none, which is 0; what only a newer one says is not known here.
pub(crate) fn decode(number: u64) -> WaitReason {
    match number {
        1 => WaitReason::NoToken,
        2 => WaitReason::Unreachable,
        3 => WaitReason::NoUpgrade,
        4 => WaitReason::Busy,
        5 => WaitReason::TokenNotYetValid,
        6 => WaitReason::Refused,
        _ => WaitReason::Lost,
    }
}

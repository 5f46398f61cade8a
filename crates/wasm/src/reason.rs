//! What the next attempt waits for, as a number.

use tetherline_engine::WaitReason;

use crate::codes::wait_reason;

pub(crate) fn encode(reason: WaitReason) -> u32 {
    match reason {
        WaitReason::Lost => wait_reason::LOST,
        WaitReason::NoToken => wait_reason::NO_TOKEN,
        WaitReason::Unreachable => wait_reason::UNREACHABLE,
        WaitReason::NoUpgrade => wait_reason::NO_UPGRADE,
        WaitReason::Busy => wait_reason::BUSY,
        WaitReason::TokenNotYetValid => wait_reason::TOKEN_NOT_YET_VALID,
        WaitReason::Refused => wait_reason::REFUSED,
        // The engine is part of this workspace; a new reason has to be given its number here.
        _ => unreachable!("a reason without a number"),
    }
}

/// Tabs of an older version say none, which is 0; what only a newer one says is not known here.
pub(crate) fn decode(number: u32) -> WaitReason {
    match number {
        wait_reason::NO_TOKEN => WaitReason::NoToken,
        wait_reason::UNREACHABLE => WaitReason::Unreachable,
        wait_reason::NO_UPGRADE => WaitReason::NoUpgrade,
        wait_reason::BUSY => WaitReason::Busy,
        wait_reason::TOKEN_NOT_YET_VALID => WaitReason::TokenNotYetValid,
        wait_reason::REFUSED => WaitReason::Refused,
        _ => WaitReason::Lost,
    }
}

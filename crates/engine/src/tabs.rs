use crate::WaitReason;

/// One of the tabs (pages) in which the same person is signed in, in one browser profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TabNo(pub u32);

/// What tabs say to each other, besides the frames that they pass on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TabMessage {
    /// Who leads?
    Hello,
    /// I do.
    Lead(Lead),
    /// Are you there?
    Ping,
    /// I am, and so is the connection.
    Pong,
    /// The person wants to be connected: do not wait for the next attempt.
    TryNow,
    /// The person has signed out.
    SignedOut,
    /// The person's identity was refused.
    Refused,
}

/// How the tab that leads is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lead {
    /// Whether somebody can see it.
    pub visible: bool,
    /// Where its connection is.
    pub phase: Phase,
}

/// Where the connection of the leading tab is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It has one.
    Connected,
    /// An attempt is under way.
    Connecting {
        /// Which since the last connection.
        attempt: u32,
    },
    /// The next attempt waits for its moment.
    Waiting {
        /// Which since the last connection.
        attempt: u32,
        /// How long it still waits, in ms.
        retry_in_ms: u64,
        /// What for.
        reason: WaitReason,
    },
}

/// What a tab that shares its connection knows beyond its state.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tabs {
    pub(crate) is_visible: bool,
    pub(crate) leader_is_visible: bool,
}

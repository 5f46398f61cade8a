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

/// The version of what tabs say to each other, beside the frames that they pass on. It counts up with
/// whatever a leading tab does for the others that one of before would not. What one of before would
/// *misread* needs another name of the channel and the lock: its tabs then have a connection of their own.
///
/// 1, which says no version, asks for streams only if it shows them itself.
pub const TABS_VERSION: u32 = 2;

/// How the tab that leads is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lead {
    /// Its [`TABS_VERSION`].
    pub version: u32,
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
    /// Whether somebody sees the leading tab, and it does all that this one would in its place.
    pub(crate) leader_will_do: bool,
    /// The lock was asked for in a way that is answered at once or never.
    pub(crate) is_taking_over: bool,
    pub(crate) company: Company,
}

/// Whether there is anybody to lead or to follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Company {
    /// No other tab was heard.
    None,
    /// Nor was the one that took the lock from this one, as where tabs share locks and no channel. Whom
    /// a tab cannot hear it cannot follow: it goes on by itself.
    Silent,
    Heard,
}

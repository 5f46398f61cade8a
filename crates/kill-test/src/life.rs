//! What one page may get, and the next one of the same device after it.

use std::fmt;

use crate::ledger::Kind;

/// What is known of a device between its pages.
#[derive(Debug, Clone, Default)]
pub(crate) struct Device {
    /// Up to here pages were given messages.
    handed_out: u64,
    /// At least up to here the server has said to know that they are handled.
    acknowledged: u64,
}

/// One page's life, over any number of connections.
#[derive(Debug)]
pub(crate) struct Life {
    before: Device,
    last: Option<u64>,
}

/// How a page ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It said goodbye to a server that was there all the time, and was answered.
    InOrder,
    /// Anything else: acknowledgements may be lost.
    Abrupt,
}

/// A message that must not have come, or not like this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// Something is missing before it.
    Hole { after: u64, seq: u64 },
    /// This page had it.
    Again { seq: u64 },
    /// An earlier page had it, and the server knew that it was handled.
    Acknowledged { up_to: u64, seq: u64 },
    /// An earlier page had it, and this one is not told so.
    Unmarked { seq: u64 },
}

impl Device {
    pub(crate) fn begin(self) -> Life {
        Life { before: self, last: None }
    }
}

impl Life {
    pub(crate) fn take(&mut self, seq: u64, replayed: bool) -> Result<(), Wrong> {
        let last = self.last.replace(seq);
        match last {
            Some(last) if seq <= last => return Err(Wrong::Again { seq }),
            Some(last) if seq > last + 1 => return Err(Wrong::Hole { after: last, seq }),
            Some(_) => {}
            None if seq <= self.before.acknowledged => {
                return Err(Wrong::Acknowledged { up_to: self.before.acknowledged, seq });
            }
            None if seq > self.before.handed_out + 1 => {
                return Err(Wrong::Hole { after: self.before.handed_out, seq });
            }
            // The server's cursor for this device was just before.
            None => self.before.acknowledged = seq - 1,
        }
        if seq <= self.before.handed_out && !replayed {
            return Err(Wrong::Unmarked { seq });
        }
        Ok(())
    }

    /// Up to where this device has everything.
    pub(crate) fn position(&self) -> u64 {
        self.before.handed_out.max(self.last.unwrap_or(0))
    }

    pub(crate) fn end(self, end: End) -> Device {
        let handed_out = self.position();
        let acknowledged = match (end, self.last) {
            (End::InOrder, Some(last)) => last,
            // The next page's first message tells.
            _ => self.before.acknowledged,
        };
        Device { handed_out, acknowledged }
    }
}

impl Wrong {
    pub(crate) fn kind(self) -> Kind {
        match self {
            Self::Hole { .. } => Kind::Lost,
            Self::Again { .. } | Self::Acknowledged { .. } => Kind::Doubled,
            Self::Unmarked { .. } => Kind::Broken,
        }
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hole { after, seq } => write!(formatter, "{seq} came after {after}"),
            Self::Again { seq } => write!(formatter, "{seq} came a second time"),
            Self::Acknowledged { up_to, seq } => {
                write!(formatter, "{seq} came again, though all up to {up_to} was acknowledged")
            }
            Self::Unmarked { seq } => write!(formatter, "{seq} came again and is not marked"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(seqs: impl IntoIterator<Item = u64>, end: End) -> Device {
        let mut life = Device::default().begin();
        for seq in seqs {
            life.take(seq, false).unwrap();
        }
        life.end(end)
    }

    #[test]
    fn a_page_gets_everything_once_and_in_order() {
        let mut life = Device::default().begin();
        assert_eq!(life.take(1, false), Ok(()));
        assert_eq!(life.take(1, true), Err(Wrong::Again { seq: 1 }));
        assert_eq!(life.take(3, false), Err(Wrong::Hole { after: 1, seq: 3 }));
        assert!(Device::default().begin().take(2, false).is_err());
    }

    #[test]
    fn after_an_abrupt_end_messages_may_come_again_marked_but_none_may_be_missing() {
        let device = after(1..=5, End::Abrupt);
        assert_eq!(device.clone().begin().take(3, true), Ok(()));
        assert_eq!(device.clone().begin().take(3, false), Err(Wrong::Unmarked { seq: 3 }));
        assert_eq!(device.clone().begin().take(6, false), Ok(()));
        assert_eq!(device.begin().take(7, false), Err(Wrong::Hole { after: 5, seq: 7 }));
    }

    #[test]
    fn what_was_acknowledged_in_order_never_comes_again() {
        let device = after(1..=5, End::InOrder);
        let wrong = Wrong::Acknowledged { up_to: 5, seq: 5 };
        assert_eq!(device.clone().begin().take(5, true), Err(wrong));
        assert_eq!(device.begin().take(6, false), Ok(()));
    }

    #[test]
    fn a_cursor_never_goes_back() {
        let mut life = after(1..=5, End::Abrupt).begin();
        life.take(4, true).unwrap();
        let wrong = Wrong::Acknowledged { up_to: 3, seq: 3 };
        assert_eq!(life.end(End::Abrupt).begin().take(3, true), Err(wrong));
    }
}

use tetherline_protocol::Seq;

/// At most one acknowledgement is with the store; later ones become one.
pub(super) enum Saving {
    Idle,
    Busy { next: Option<Seq> },
}

impl Saving {
    /// Answers the position if it is to be saved now, and keeps it for later if the store is busy.
    pub(super) fn begin(&mut self, seq: Seq) -> Option<Seq> {
        match self {
            Self::Idle => {
                *self = Self::Busy { next: None };
                Some(seq)
            }
            Self::Busy { next } => {
                *next = Some(seq);
                None
            }
        }
    }

    /// The store took one. Answers the next.
    pub(super) fn done(&mut self) -> Option<Seq> {
        match std::mem::replace(self, Self::Idle) {
            Self::Busy { next: Some(next) } => {
                *self = Self::Busy { next: None };
                Some(next)
            }
            _ => None,
        }
    }
}

use super::Action;
use crate::security::auth::Identity;

/// A token that is to count from now on. There is one at a time, since whoever checks it may have to ask the
/// application: a client that brings one after the other has it asked no more than that.
pub(super) struct Renewal {
    stage: Stage,
    /// What came meanwhile; only the last of it counts.
    next: Option<Box<str>>,
}

enum Stage {
    Due(Box<str>),
    Checking,
    /// The token is good. Whether its sign-in stands is to be looked up.
    Good(Box<Identity>),
    LookingUp,
}

impl Renewal {
    pub(super) fn of(token: Box<str>) -> Self {
        Self { stage: Stage::Due(token), next: None }
    }

    pub(super) fn then(&mut self, token: Box<str>) {
        self.next = Some(token);
    }

    pub(super) fn is_good(&mut self, identity: Identity) {
        self.stage = Stage::Good(Box::new(identity));
    }

    /// What comes after it.
    pub(super) fn over(self) -> Option<Self> {
        self.next.map(Self::of)
    }

    /// What is to be done about it, once.
    pub(super) fn step(&mut self) -> Option<Action> {
        match std::mem::replace(&mut self.stage, Stage::Checking) {
            Stage::Due(token) => Some(Action::Verify(token)),
            Stage::Checking => None,
            Stage::Good(identity) => {
                self.stage = Stage::LookingUp;
                Some(Action::LookUp(identity))
            }
            Stage::LookingUp => {
                self.stage = Stage::LookingUp;
                None
            }
        }
    }
}

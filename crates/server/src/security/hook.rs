//! Asking the application who somebody is: so many at a time, so many that wait, and never for long.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tetherline_protocol::UserId;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::auth::{Identity, InvalidToken};
use crate::{
    ConnectHook, ConnectRefusal, ConnectRequest, GRANT_AGE, GRANT_AGE_MAX, Grant, Network, clock,
    rates::{Meters, Occupancy, Occupied},
    trouble::{SharedTrouble, Word},
};

/// Questions that are with the connect hook at a time.
pub const CONNECT_HOOK_REQUESTS_MAX: usize = 64;
/// Questions that wait for their turn; one more is not asked.
pub const CONNECT_HOOK_WAITING_MAX: usize = 256;
/// Renewals of one user that are asked about or wait, on all connections; one more comes again.
pub const CONNECT_HOOK_RENEWALS_PER_USER_MAX: usize = 4;
/// How long a question may wait for its turn, and as long again for its answer.
pub const CONNECT_HOOK_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest that this may be made.
pub const CONNECT_HOOK_TIMEOUT_MAX: Duration = Duration::from_secs(30);
/// When to try again that nobody could answer.
pub(crate) const CONNECT_HOOK_RETRY: Duration = Duration::from_secs(2);

/// Those who are connected wait in a line of their own, one for so many of the other: strangers in any number
/// keep no renewal waiting.
const RENEWALS_SHARE: usize = 4;
/// One place of so many is for those who have none.
const NEWCOMERS_SHARE: usize = 4;

/// How a connect hook is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectHookOptions {
    /// Whether it is asked about good tokens of the server's own keys, too: then it may refuse them, and says what
    /// they may do.
    pub always: bool,
    /// Questions at a time.
    pub requests_max: usize,
    /// Questions that wait.
    pub waiting_max: usize,
    /// How long one waits for its turn, and as long again for its answer; at most [`CONNECT_HOOK_TIMEOUT_MAX`].
    pub timeout: Duration,
}

impl Default for ConnectHookOptions {
    fn default() -> Self {
        Self {
            always: false,
            requests_max: CONNECT_HOOK_REQUESTS_MAX,
            waiting_max: CONNECT_HOOK_WAITING_MAX,
            timeout: CONNECT_HOOK_TIMEOUT,
        }
    }
}

/// The connect hook, and those who wait for it.
pub(crate) struct Asker {
    hook: Arc<dyn ConnectHook>,
    meters: Arc<Meters>,
    strangers: Line,
    renewals: Line,
    always: bool,
    timeout: Duration,
    silence: SharedTrouble,
    crowd: SharedTrouble,
}

/// Who wants to know: a place in a line is somebody's.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Party {
    /// Whoever comes from there; those of whom nobody says from where are one party.
    Stranger(Option<Network>),
    User(UserId),
}

struct Line {
    places: Arc<Semaphore>,
    turns: Arc<Semaphore>,
    held: Arc<Occupancy<Party>>,
    /// Places that one party has at most.
    per_party_max: usize,
    /// Places that are for those who have none.
    newcomers: usize,
}

/// Why somebody has no turn.
enum NoTurn {
    /// Their party has as many places as it may.
    PartyIsFull,
    /// There is none left, or it took too long.
    AllAreBusy,
}

/// Held for as long as a question is asked.
struct Turn {
    _place: OwnedSemaphorePermit,
    _running: OwnedSemaphorePermit,
    _share: Occupied<Party>,
}

impl Asker {
    pub(crate) fn new(
        hook: Arc<dyn ConnectHook>,
        options: ConnectHookOptions,
        meters: Arc<Meters>,
    ) -> Self {
        let (asked, waiting) = (options.requests_max.max(1), options.waiting_max);
        let some = |count: usize| count.div_ceil(RENEWALS_SHARE);
        Self {
            hook,
            meters,
            strangers: Line::new(asked, waiting, usize::MAX),
            renewals: Line::new(some(asked), some(waiting), CONNECT_HOOK_RENEWALS_PER_USER_MAX),
            always: options.always,
            timeout: options.timeout.min(CONNECT_HOOK_TIMEOUT_MAX),
            silence: SharedTrouble::default(),
            crowd: SharedTrouble::default(),
        }
    }

    /// Whether good tokens of the server's own keys do not suffice.
    pub(crate) fn is_always_asked(&self) -> bool {
        self.always
    }

    /// Asks whom a request speaks for. A question that was begun is ended, whoever still waits for it: those who
    /// come and go ask no more of the application than those who stay.
    pub(crate) async fn ask(
        &self,
        request: ConnectRequest,
        party: Party,
    ) -> Result<Identity, InvalidToken> {
        let line = match party {
            Party::Stranger(_) => &self.strangers,
            Party::User(_) => &self.renewals,
        };
        let turn = match line.turn(party, self.timeout).await {
            Ok(turn) => turn,
            // One client's own doing is no word to whoever runs the server.
            Err(NoTurn::PartyIsFull) => return Err(away()),
            Err(NoTurn::AllAreBusy) => {
                if let Some(Word::Fails { times }) = self.crowd.failed_now() {
                    let what = "the connect hook has more to answer than it can; others come again";
                    tracing::warn!(times, "{what}");
                }
                return Err(away());
            }
        };
        let (hook, limit) = (self.hook.clone(), self.timeout);
        // A sign-out that comes meanwhile ends what is answered, too.
        let (asked_ms, asked_at) = (clock::now_ms(), Instant::now());
        let answer = tokio::spawn(async move {
            let _turn = turn;
            timeout(limit, hook.admit(request)).await
        });
        let answer = answer.await;
        let admitted = answer.as_ref().ok().and_then(|answer| answer.as_ref().ok());
        let admitted = admitted.map(Result::is_ok);
        self.meters.metrics.hook_answered(admitted, asked_at.elapsed());
        let silent = match answer {
            Ok(Ok(answer)) => {
                self.answered();
                return answer.map(|grant| identity(grant, asked_ms)).map_err(refused);
            }
            Ok(Err(_)) => "it took too long",
            Err(_) => "it panicked",
        };
        if let Some(Word::Fails { times }) = self.silence.failed_now() {
            tracing::warn!(reason = silent, times, "the connect hook gave no answer");
        }
        Err(away())
    }

    fn answered(&self) {
        if let Some(Word::Works { times }) = self.silence.worked_now() {
            tracing::info!(unanswered_again = times, "the connect hook answers again");
        }
        if let Some(Word::Works { times }) = self.crowd.worked_now() {
            tracing::info!(turned_away_again = times, "the connect hook keeps up again");
        }
    }
}

impl Line {
    fn new(asked: usize, waiting: usize, per_party_max: usize) -> Self {
        let places = asked.saturating_add(waiting).min(Semaphore::MAX_PERMITS);
        let turns = asked.min(Semaphore::MAX_PERMITS);
        Self {
            places: Arc::new(Semaphore::new(places)),
            turns: Arc::new(Semaphore::new(turns)),
            held: Occupancy::new(),
            per_party_max,
            newcomers: places / NEWCOMERS_SHARE,
        }
    }

    /// In the order in which they came. Nobody has more places than are left to all others, and of the last of them
    /// nobody has more than one: a party that is alone has three eighths of all, as all have that one proxy serves which
    /// nobody named.
    async fn turn(&self, party: Party, patience: Duration) -> Result<Turn, NoTurn> {
        let left = self.places.available_permits();
        let fair = left.saturating_sub(self.newcomers).max(1);
        let share = self.held.occupy(party, self.per_party_max.min(fair));
        let share = share.ok_or(if left > 0 { NoTurn::PartyIsFull } else { NoTurn::AllAreBusy })?;
        let place = self.places.clone().try_acquire_owned().map_err(|_| NoTurn::AllAreBusy)?;
        let waiting = timeout(patience, self.turns.clone().acquire_owned());
        let turn = waiting.await.ok().and_then(Result::ok).ok_or(NoTurn::AllAreBusy)?;
        Ok(Turn { _place: place, _running: turn, _share: share })
    }
}

fn identity(grant: Grant, asked_ms: i64) -> Identity {
    let Grant { user, session, expires_in, may } = grant;
    let expires_in = expires_in.unwrap_or(GRANT_AGE).min(GRANT_AGE_MAX);
    Identity { user, session, made_ms: Some(asked_ms), expires_in, may }
}

fn refused(refusal: ConnectRefusal) -> InvalidToken {
    InvalidToken::Refused(Box::new(refusal))
}

/// What is said when nobody can say who somebody is.
pub(crate) fn away() -> InvalidToken {
    let message = "Who you are cannot be found out right now; try again.";
    refused(ConnectRefusal::unavailable(message, CONNECT_HOOK_RETRY))
}

/// A bug planted on purpose, to show that the checker has teeth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// A publish is answered before it is committed.
    AnsweredBeforeCommit,
    /// Sessions are shown a message before it is committed.
    DeliveredBeforeCommit,
    /// A message counts as handled while its handler still runs.
    CursorBeforeHandler,
    /// A page of the mailbox starts one message too late.
    ReplayOffByOne,
    /// A publisher's key is not looked at.
    PublishKeyIgnored,
    /// Outcomes of sends are not looked at, by an application that relies on them.
    OutcomeForgotten,
    /// What the application answered to a send is not repeated to a repeater.
    AnswerForgotten,
    /// A send is accepted before the application took it.
    AcceptedBeforeTaken,
    /// Sometimes nobody is woken for a message.
    WakeForgotten,
    /// A device starts where another one stands.
    CursorOfAnotherDevice,
    /// Frames that were under way when somebody signed out still reach handlers.
    DeliveredAfterSignOut,
    /// A handler of a lost history that settles late is taken for one of the new history.
    HandlersKnownByPosition,
    /// That something was missed is not looked into.
    MissedForgotten,
    /// Text of a stream is shown before it is committed.
    ShownBeforeCommit,
    /// A stop is accepted, and the stream takes text as before.
    StopSealsNothing,
    /// A stop of a stream that has not begun is not remembered.
    EarlyStopForgotten,
    /// A stream is over in one commit, and its message is there in the next.
    EndInTwoCommits,
    /// An earlier attempt may go on.
    ZombieAccepted,
    /// Text that comes again is added again.
    RepeatAddedAgain,
    /// Text is cut within a surrogate pair.
    PairSplit,
    /// A stream can be read as unfinished after its end.
    ShownAfterItsEnd,
    /// The last text of a stream does not survive a crash.
    TextLostInCrash,
    /// That a stream has more text is not told.
    StreamedForgotten,
    /// A page's driver forgets the text of streams on a new connection.
    TextForgottenOnReconnect,
    /// The leading tab does not tell the others what it shows of streams.
    AskNotAnsweredWithTexts,
    /// What was acknowledged is never written.
    CursorsNeverWritten,
}

impl Mutant {
    /// The one of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mutant| format!("{mutant:?}") == name)
    }

    /// What it breaks.
    #[must_use]
    pub const fn promise(self) -> &'static str {
        match self {
            Self::AnsweredBeforeCommit | Self::PublishKeyIgnored => {
                "what was answered 2xx is in the mailbox, once"
            }
            Self::DeliveredBeforeCommit => "what is delivered is committed",
            Self::CursorBeforeHandler => "acknowledged means handled",
            Self::ReplayOffByOne | Self::WakeForgotten | Self::MissedForgotten => {
                "every page gets everything"
            }
            Self::OutcomeForgotten => "a send takes effect once",
            Self::AnswerForgotten => "a repeater gets the first answer",
            Self::AcceptedBeforeTaken => "accepted means taken",
            Self::CursorOfAnotherDevice => "a device starts where it stands itself",
            Self::DeliveredAfterSignOut => "no handler is called after sign-out",
            Self::HandlersKnownByPosition => "a handler settles for its own message",
            Self::ShownBeforeCommit => "what is shown is committed",
            Self::StopSealsNothing | Self::EarlyStopForgotten => "no stream goes on after a stop",
            Self::EndInTwoCommits => "a stream that is over is in the mailbox",
            Self::ZombieAccepted | Self::RepeatAddedAgain | Self::PairSplit => {
                "a stream has its own writer's text, and all of it once"
            }
            Self::ShownAfterItsEnd => "no stream goes on that is over",
            Self::TextLostInCrash => "what was shown is kept",
            Self::StreamedForgotten | Self::AskNotAnsweredWithTexts => {
                "every page shows all that there is of a stream"
            }
            Self::CursorsNeverWritten => "a crash takes a second of acknowledgements at the most",
            Self::TextForgottenOnReconnect => "what is shown of an attempt never shrinks",
        }
    }

    /// All of them.
    pub const ALL: [Self; 26] = [
        Self::AnsweredBeforeCommit,
        Self::DeliveredBeforeCommit,
        Self::CursorBeforeHandler,
        Self::ReplayOffByOne,
        Self::PublishKeyIgnored,
        Self::OutcomeForgotten,
        Self::AnswerForgotten,
        Self::AcceptedBeforeTaken,
        Self::WakeForgotten,
        Self::CursorOfAnotherDevice,
        Self::DeliveredAfterSignOut,
        Self::HandlersKnownByPosition,
        Self::MissedForgotten,
        Self::ShownBeforeCommit,
        Self::StopSealsNothing,
        Self::EarlyStopForgotten,
        Self::EndInTwoCommits,
        Self::ZombieAccepted,
        Self::RepeatAddedAgain,
        Self::PairSplit,
        Self::ShownAfterItsEnd,
        Self::TextLostInCrash,
        Self::StreamedForgotten,
        Self::TextForgottenOnReconnect,
        Self::AskNotAnsweredWithTexts,
        Self::CursorsNeverWritten,
    ];

    /// Within how many seeds each is found, counted from 0.
    pub const SEEDS_MAX: u64 = 200;
}

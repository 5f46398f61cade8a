use std::fmt;

/// Something that is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// SQLite cannot read all of it, or finds that it contradicts itself.
    Damaged(String),
    /// Messages were changed in the file, or its index does not find them. They are not delivered.
    Changed {
        /// How many.
        messages: u64,
    },
    /// Between the first and the last message of a user some are missing, or some are there twice.
    NotDense {
        /// Whose.
        user: String,
        /// After this position.
        trimmed: i64,
        /// Up to this one.
        head: i64,
        /// So many are there instead.
        messages: i64,
    },
    /// A device has handled more than there is.
    AheadOfTheHead {
        /// Whose.
        user: String,
        /// Which one.
        device: String,
        /// What it has handled.
        cursor: i64,
        /// What there is.
        head: i64,
    },
    /// All devices of a user together have handled more than there is.
    FloorAhead {
        /// Whose.
        user: String,
        /// What one of them has handled.
        floor: i64,
        /// What there is.
        head: i64,
    },
    /// Messages that are kept are said to be kept no more. They are not delivered.
    TrimmedTooHigh {
        /// Whose.
        user: String,
        /// Up to here nothing is kept any more.
        trimmed: i64,
        /// So many are there all the same.
        messages: i64,
    },
    /// Text of streams cannot be read, and no server starts with it.
    StreamText {
        /// How many rows of it.
        rows: u64,
    },
    /// Streams that are not finished cannot be read, and no server starts with them.
    Streams(String),
    /// Marks that count sends, and cannot stand for so many.
    Marks {
        /// How many.
        marks: u64,
    },
    /// Rows of a user that there is not.
    Nobodys {
        /// In which table.
        table: &'static str,
        /// How many.
        rows: u64,
    },
    /// Keys that stand for no publish.
    KeysOfNothing {
        /// How many.
        keys: u64,
    },
    /// There has to be one epoch.
    Epochs {
        /// So many there are.
        count: u64,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged(problem) => write!(out, "the file is damaged: {problem}"),
            Self::Changed { messages } => write!(
                out,
                "{messages} messages were changed in the file, or are not found by its index; they are not delivered"
            ),
            Self::NotDense { user, trimmed, head, messages } => write!(
                out,
                "{user} has {messages} messages after position {trimmed} and up to {head}, and has to have {}",
                head - trimmed
            ),
            Self::AheadOfTheHead { user, device, cursor, head } => write!(
                out,
                "the device {device} of {user} has handled messages up to position {cursor}, but there are {head}"
            ),
            Self::FloorAhead { user, floor, head } => write!(
                out,
                "{user} has handled messages up to position {floor}, but there are {head}"
            ),
            Self::TrimmedTooHigh { user, trimmed, messages } => write!(
                out,
                "{messages} messages of {user} are not delivered: the mailbox is said to be trimmed up to position {trimmed}, \
                 and they are before that"
            ),
            Self::StreamText { rows } => write!(
                out,
                "{rows} rows of `stream_log`, the text of streams, cannot be read, and no server starts with them"
            ),
            Self::Streams(problem) => {
                write!(out, "what is said of unfinished streams cannot be read: {problem}")
            }
            Self::Marks { marks } => write!(
                out,
                "{marks} marks in `sends` cannot stand for as many sends as they say, so too many or too few are kept"
            ),
            Self::Nobodys { table, rows } => {
                write!(out, "{rows} rows of `{table}` are of a user that there is not")
            }
            Self::KeysOfNothing { keys } => {
                write!(out, "{keys} idempotency keys stand for no publish")
            }
            Self::Epochs { count } => write!(out, "there are {count} epochs, and has to be one"),
        }
    }
}

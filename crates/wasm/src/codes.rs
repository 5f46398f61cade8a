//! The numbers that stand for something on both sides of the boundary. `cargo xtask codegen` writes them
//! as TypeScript, so each is named, explained and counted here and nowhere else.

/// Numbers that belong together.
pub struct Group {
    /// The module's name.
    pub name: &'static str,
    /// What they are for.
    pub about: &'static [&'static str],
    /// All of them, in the order in which they are listed.
    pub codes: &'static [Code],
}

/// A number that stands for something.
pub struct Code {
    /// The constant's name.
    pub name: &'static str,
    /// What it stands for.
    pub about: &'static [&'static str],
    /// What crosses the boundary.
    pub value: i32,
}

macro_rules! codes {
    ($(
        $(#[doc = $group_about:literal])+
        $group:ident: $kind:ty {
            $($(#[doc = $about:literal])+ $name:ident = $value:literal;)+
        }
    )+) => {
        $(
            $(#[doc = $group_about])+
            pub mod $group {
                $($(#[doc = $about])+ pub const $name: $kind = $value;)+
            }
        )+

        /// Every group.
        pub const GROUPS: &[Group] = &[$(Group {
            name: stringify!($group),
            about: &[$($group_about),+],
            codes: &[$(Code {
                name: stringify!($name),
                about: &[$($about),+],
                value: $value,
            }),+],
        }),+];
    };
}

codes! {
    /// What the engine wants done: the kinds that `poll` answers, 0 when there is nothing. Their
    /// arguments are `arg_a` to `arg_d`.
    output: u32 {
        /// Ask the application for a token, a fresh one if `a` is 1.
        RESOLVE_TOKEN = 1;
        /// Open a socket, connection `a`.
        OPEN = 2;
        /// Ask the URL of connection `a` without an upgrade.
        PROBE = 3;
        /// Close connection `a` with the code `b`, and forget it.
        DETACH = 4;
        /// Send `ping`.
        PING = 5;
        /// Send `get_pending` after position `a` of epoch `b`; `c` is the number of the message there
        /// behind 1, and 0 if nothing is to be proved.
        GET_PENDING = 6;
        /// Send `ack` for position `a`.
        ACK = 7;
        /// Send `authenticate` with the token last given.
        AUTHENTICATE = 8;
        /// Send the outbox's message `a`.
        TRANSMIT = 9;
        /// Send `a` is over; `b` is its outcome.
        SETTLED = 10;
        /// What an application may show is new.
        STATUS_CHANGED = 11;
        /// What was between positions `a` and `b` will never come.
        GAP = 12;
        /// What is parked and not held counts as handled by nobody.
        GRACE_OVER = 13;
        /// A handler of the message at position `a` has not settled in time.
        HANDLER_TIMED_OUT = 14;
        /// The server takes no token of this user; `a` is 1 if the application says that nobody is
        /// signed in.
        IDENTITY_REFUSED = 15;
        /// The message at position `a` is parked no longer: too many are (`b` is 1), or its history is
        /// no more (0).
        PARKED_DROPPED = 16;
        /// Ask for the lock of the leading tab; take it if `a` is 1.
        LOCK = 17;
        /// Let go of the lock, and leave the channel.
        UNLOCK = 18;
        /// Connection `a` goes through tab `b`.
        JOIN = 19;
        /// Say `connection_established` with head `a` and cursor `b` to tab `d`, 0 for all; `c` is this
        /// tab's position behind 1, and 0 if the server checks none.
        WELCOME = 20;
        /// The person signed out in another tab.
        SIGNED_OUT_ELSEWHERE = 21;
        /// Forget the text of stream `a`, 0 for all of them.
        STREAM_DROPPED = 22;
        /// And more: say the message of this kind above 100 to tab `d`, 0 for all.
        POST = 100;
    }

    /// What to do with a message: bits of what `message` answers, added up.
    delivery: u32 {
        /// Call the handlers now.
        DELIVER = 1;
        /// Keep the message: a handler may come.
        PARK = 2;
        /// It was in the mailbox before this connection asked.
        REPLAYED = 4;
        /// Drain `poll`, and look at `next_timeout` again.
        POLL = 8;
        /// It is new, and nobody handles it: it counts as handled.
        UNHANDLED = 16;
        /// It is where this page stands now: its number is what `position_id` answers.
        REACHED = 32;
        /// Times how many messages are foreseen: the same holds for each that is the next of its mailbox
        /// and has a handler, and `passed` tells the last of them before anything else is told.
        FORESEEN = 64;
    }

    /// How a send ended.
    outcome: u32 {
        /// The application took it.
        ACCEPTED = 0;
        /// The server or the application refused it for good.
        REFUSED = 1;
        /// It was not settled within its time to live.
        EXPIRED = 2;
        /// The person signed out first.
        SIGNED_OUT = 3;
    }

    /// Why `send` took nothing; what it takes has a number from 1 on.
    not_taken: i32 {
        /// Nobody is signed in.
        SIGNED_OUT = -1;
        /// The outbox is full.
        OUTBOX_FULL = -2;
        /// The time to live is longer than a repeat would be known.
        TTL_TOO_LONG = -3;
    }

    /// What tabs say to each other. Tabs of other versions listen: a number keeps its meaning.
    tab: u32 {
        /// Who leads?
        HELLO = 1;
        /// I do.
        LEAD = 2;
        /// Are you there?
        PING = 3;
        /// I am, and so is the connection.
        PONG = 4;
        /// The person wants to be connected: do not wait for the next attempt.
        TRY_NOW = 5;
        /// The person has signed out.
        SIGNED_OUT = 6;
        /// The person's identity was refused.
        REFUSED = 7;
    }

    /// How the engine stands.
    status: u32 {
        /// Nobody is signed in.
        SIGNED_OUT = 0;
        /// A token is being fetched or a socket opened.
        CONNECTING = 1;
        /// `connection_established` has come.
        CONNECTED = 2;
        /// The next attempt waits for its moment.
        WAITING = 3;
        /// Tokens are refused.
        REFUSED = 4;
    }

    /// What the next attempt waits for. Tabs of other versions hear of it: a number keeps its meaning.
    wait_reason: u32 {
        /// A connection that was lost.
        LOST = 0;
        /// A token.
        NO_TOKEN = 1;
        /// An answer.
        UNREACHABLE = 2;
        /// An upgrade that gets through.
        NO_UPGRADE = 3;
        /// A server with less to do.
        BUSY = 4;
        /// The token's beginning.
        TOKEN_NOT_YET_VALID = 5;
        /// A token that the server takes.
        REFUSED = 6;
    }
}

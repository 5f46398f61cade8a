//! What happens in a run, and when.

use std::cmp::Ordering;

use tetherline_engine::ConnectionNo;
use tetherline_protocol::{Epoch, Seq, StreamPosition};
use tetherline_server::store::{Delivery, Outcome, Resumed, Room, StreamSnapshot};

use crate::{
    network::{Down, Up},
    store::{Answer, ClaimNo},
    tabs::Post,
    tokens::Token,
    world::{LinkNo, PageNo, PublishNo, SendNo},
    writers::WriterNo,
};

#[derive(Debug)]
pub(crate) enum Event {
    Chaos,
    Quiet,
    Attempt {
        publish: PublishNo,
    },
    Commit {
        life: u32,
    },
    Answered {
        life: u32,
        answer: Answer,
    },
    Decide {
        life: u32,
        send: SendNo,
        claim: ClaimNo,
    },
    Settle {
        life: u32,
        claim: ClaimNo,
        outcome: Outcome,
    },
    /// What is known of a send was read.
    Known {
        life: u32,
        link: LinkNo,
        outcome: Outcome,
    },
    /// A send that was with somebody else may not be any more.
    Begin {
        life: u32,
        link: LinkNo,
        send: SendNo,
    },
    Renew {
        life: u32,
        claim: ClaimNo,
    },
    /// The writer's next request, or the same once more.
    Write {
        writer: WriterNo,
        serial: u32,
    },
    /// A writer that crashed is there again.
    Resume {
        writer: WriterNo,
        serial: u32,
    },
    /// The hub hears what the store has committed.
    Told {
        life: u32,
    },
    /// The server looks for streams that nobody ends.
    Overdue {
        life: u32,
    },
    Restart,
    /// The first page after a position that is to be checked has been read.
    Resumed {
        link: LinkNo,
        job: u32,
        read_no: u32,
        after: Seq,
        room: Room,
        resumed: Option<Box<Resumed>>,
    },
    /// The server writes what was acknowledged.
    SaveCursors {
        life: u32,
    },
    /// A server that drains has waited long enough.
    Drained {
        life: u32,
    },
    Handshake {
        link: LinkNo,
    },
    Located {
        link: LinkNo,
    },
    Up {
        link: LinkNo,
        frame: Up,
    },
    Gone {
        link: LinkNo,
    },
    /// The peer took some of what is written.
    Progress {
        link: LinkNo,
    },
    Written {
        link: LinkNo,
    },
    /// It is known whether the sign-in of a new token stands.
    LookedUp {
        link: LinkNo,
        look_up: u32,
        token: Token,
        stands: bool,
    },
    SessionTimer {
        link: LinkNo,
        at: u64,
    },
    Wake {
        link: LinkNo,
    },
    Read {
        link: LinkNo,
        job: u32,
        read_no: u32,
        epoch: Epoch,
        after: Seq,
        room: Room,
        page: Option<Vec<Delivery>>,
    },
    Place {
        link: LinkNo,
    },
    /// Streams have been read, before or now.
    StreamsRead {
        link: LinkNo,
        look: u32,
        places: Vec<StreamPosition>,
        snapshot: Option<Box<StreamSnapshot>>,
    },
    Down {
        link: LinkNo,
        frame: Down,
    },
    /// The page's system says that the connection broke.
    Lost {
        link: LinkNo,
    },
    PageTimer {
        page: PageNo,
        at: u64,
    },
    Token {
        page: PageNo,
        request: u32,
        fresh: bool,
    },
    /// Whoever answers in the server's place lets everything through again.
    StepAside,
    Probe {
        page: PageNo,
        connection: ConnectionNo,
        link: LinkNo,
    },
    HandlerSettles {
        page: PageNo,
        generation: u32,
        seq: u64,
        call: u64,
    },
    HandlerRegisters {
        page: PageNo,
    },
    SignInAgain {
        page: PageNo,
        generation: u32,
    },
    /// The lock that was asked for is granted, or was taken away.
    Lock {
        page: PageNo,
        request: u32,
        granted: bool,
    },
    Posted {
        from: PageNo,
        to: PageNo,
        channel: u32,
        post: Option<Post>,
    },
    Thaw {
        page: PageNo,
    },
    Online {
        page: PageNo,
    },
    Restore {
        page: PageNo,
        generation: u32,
        unsent: Vec<(SendNo, u64)>,
    },
}

pub(crate) struct Scheduled {
    pub(crate) at: u64,
    pub(crate) order: u64,
    pub(crate) event: Event,
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Scheduled {}

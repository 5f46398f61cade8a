//! What a server answers who is asked about a user.

use serde::Deserialize;

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Inspection {
    pub(crate) head: u64,
    pub(crate) epoch: String,
    pub(crate) trimmed: u64,
    pub(crate) trimmed_by_number: u64,
    pub(crate) devices: Vec<DeviceSeen>,
    pub(crate) connections: Vec<ConnectionSeen>,
    pub(crate) sends: Vec<Send>,
    pub(crate) sign_outs: Vec<SignOut>,
    pub(crate) streams: Vec<Stream>,
    pub(crate) message: Option<Message>,
    pub(crate) verdicts: Option<Vec<Verdict>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct DeviceSeen {
    pub(crate) device: String,
    pub(crate) cursor: u64,
    pub(crate) behind: u64,
    pub(crate) last_used: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct ConnectionSeen {
    pub(crate) connection_id: String,
    pub(crate) device: Option<String>,
    pub(crate) address: Option<String>,
    pub(crate) since: String,
    pub(crate) sent: Option<u64>,
    pub(crate) waiting: u64,
    pub(crate) unhandled: u64,
    pub(crate) waits_for: String,
    pub(crate) waits_since: String,
    pub(crate) unsent_bytes: u64,
    pub(crate) held: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Send {
    pub(crate) id: String,
    pub(crate) decided: String,
    pub(crate) outcome: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct SignOut {
    pub(crate) everywhere: bool,
    pub(crate) at: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Stream {
    pub(crate) message_uuid: String,
    pub(crate) attempt: u32,
    pub(crate) opened: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Message {
    pub(crate) seq: u64,
    pub(crate) id: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) published: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Verdict {
    pub(crate) says: String,
}

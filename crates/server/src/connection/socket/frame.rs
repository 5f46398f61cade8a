//! Frames as RFC 6455, section 5.2, lays them out.

use bytes::Bytes;
use tetherline_protocol::CloseCode;

use crate::connection::session::Outgoing;

/// Longest payload of a control frame, in bytes.
pub(super) const CONTROL_BYTES_MAX: u64 = 125;
/// Longest header that a server writes, in bytes: it does not mask.
const HEADER_BYTES_MAX: usize = 10;

const FIN: u8 = 0x80;
const RESERVED: u8 = 0x70;
const OPCODE: u8 = 0x0f;
const MASKED: u8 = 0x80;
const LENGTH: u8 = 0x7f;
/// Lengths that say where the real one stands: in the next two bytes, or in the next eight.
const IN_TWO_BYTES: u8 = 126;
const IN_EIGHT_BYTES: u8 = 127;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opcode {
    Continuation = 0,
    Text = 1,
    Binary = 2,
    Close = 8,
    Ping = 9,
    Pong = 10,
}

impl Opcode {
    pub(super) fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }

    fn of(bits: u8) -> Option<Self> {
        const ALL: [Opcode; 6] = [
            Opcode::Continuation,
            Opcode::Text,
            Opcode::Binary,
            Opcode::Close,
            Opcode::Ping,
            Opcode::Pong,
        ];
        ALL.into_iter().find(|opcode| *opcode as u8 == bits)
    }
}

/// What a client's frame begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) is_last: bool,
    pub(super) opcode: Opcode,
    pub(super) length: u64,
    pub(super) mask: [u8; 4],
}

/// Not a frame that a client may send without an extension.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

impl Header {
    /// Longest that a client writes, in bytes.
    pub(super) const BYTES_MAX: usize = 14;

    /// The header at the beginning of `bytes`; `None` as long as it is not complete.
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<Self>, Malformed> {
        let [first, second, rest @ ..] = bytes else { return Ok(None) };
        let opcode = Opcode::of(first & OPCODE).ok_or(Malformed)?;
        let is_last = first & FIN != 0;
        let short = second & LENGTH;
        let is_long_control = !is_last || u64::from(short) > CONTROL_BYTES_MAX;
        if first & RESERVED != 0 || second & MASKED == 0 || (opcode.is_control() && is_long_control)
        {
            return Err(Malformed);
        }
        let (length, rest) = match short {
            IN_TWO_BYTES => {
                let Some((length, rest)) = rest.split_first_chunk() else { return Ok(None) };
                (u64::from(u16::from_be_bytes(*length)), rest)
            }
            IN_EIGHT_BYTES => {
                let Some((length, rest)) = rest.split_first_chunk() else { return Ok(None) };
                (u64::from_be_bytes(*length), rest)
            }
            short => (u64::from(short), rest),
        };
        // The shortest form, and no other.
        let is_shortest = match short {
            IN_TWO_BYTES => length >= u64::from(IN_TWO_BYTES),
            IN_EIGHT_BYTES => length > u64::from(u16::MAX) && i64::try_from(length).is_ok(),
            _ => true,
        };
        if !is_shortest {
            return Err(Malformed);
        }
        Ok(rest.first_chunk().map(|mask| Self { is_last, opcode, length, mask: *mask }))
    }
}

/// A frame for the peer: in one piece, and not masked.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    opcode: Opcode,
    payload: Bytes,
}

impl Frame {
    pub(super) fn close(code: CloseCode, reason: &str) -> Self {
        let mut payload = code.code().to_be_bytes().to_vec();
        payload.extend_from_slice(reason.as_bytes());
        Self { opcode: Opcode::Close, payload: payload.into() }
    }

    /// The answer to a close says what it said.
    pub(super) fn closed(code: Option<u16>) -> Self {
        let payload = code.map_or_else(Bytes::new, |code| code.to_be_bytes().to_vec().into());
        Self { opcode: Opcode::Close, payload }
    }

    /// A message as the peer sent it.
    #[cfg(feature = "echo")]
    pub(super) fn message(opcode: Opcode, payload: Bytes) -> Self {
        Self { opcode, payload }
    }

    pub(super) fn payload(&self) -> &[u8] {
        &self.payload
    }

    pub(super) fn header(&self) -> FrameHeader {
        let mut bytes = [0; HEADER_BYTES_MAX];
        bytes[0] = FIN | self.opcode as u8;
        let length = self.payload.len();
        let end = if length <= CONTROL_BYTES_MAX as usize {
            bytes[1] = length as u8;
            2
        } else if let Ok(length) = u16::try_from(length) {
            bytes[1] = IN_TWO_BYTES;
            bytes[2..4].copy_from_slice(&length.to_be_bytes());
            4
        } else {
            bytes[1] = IN_EIGHT_BYTES;
            bytes[2..].copy_from_slice(&(length as u64).to_be_bytes());
            HEADER_BYTES_MAX
        };
        FrameHeader { bytes, end }
    }
}

impl From<Outgoing> for Frame {
    fn from(outgoing: Outgoing) -> Self {
        match outgoing {
            Outgoing::Text(text) => Self { opcode: Opcode::Text, payload: text.into_bytes() },
            Outgoing::Ping(payload) => Self { opcode: Opcode::Ping, payload },
            Outgoing::Pong(payload) => Self { opcode: Opcode::Pong, payload },
        }
    }
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct FrameHeader {
    bytes: [u8; HEADER_BYTES_MAX],
    end: usize,
}

impl FrameHeader {
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.end]
    }
}

use bytes::Bytes;
use tetherline_protocol::CloseCode;

use super::frame::{Header, Opcode};

/// What a client said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Received {
    Text(String),
    /// Only where a decoder takes it.
    Binary(Vec<u8>),
    Ping(Bytes),
    Pong(Bytes),
    /// With the code that it gave.
    Close(Option<u16>),
}

/// Turns bytes into what they say, as they come. It keeps what has come of a message and no more, and
/// refuses a message that is too large by its header.
pub(crate) struct Decoder {
    message_bytes_max: usize,
    takes_binary: bool,
    place: Place,
    /// The message whose last fragment has not come; control frames may come in between.
    message: Option<Message>,
}

/// Where in a frame the next byte belongs.
enum Place {
    Header { bytes: [u8; Header::BYTES_MAX], length: usize },
    Payload { header: Header, taken: u64, control: Vec<u8> },
}

struct Message {
    bytes: Vec<u8>,
    kind: Kind,
}

enum Kind {
    /// Up to here it is known to be UTF-8.
    Text {
        checked: usize,
    },
    Binary,
}

impl Place {
    const START: Self = Self::Header { bytes: [0; Header::BYTES_MAX], length: 0 };
}

impl Decoder {
    pub(crate) fn new(message_bytes_max: usize) -> Self {
        Self { message_bytes_max, takes_binary: false, place: Place::START, message: None }
    }

    /// From now on messages may be binary, too.
    #[cfg(feature = "echo")]
    pub(super) fn take_binary(&mut self) {
        self.takes_binary = true;
    }

    /// Takes bytes off the front until something is complete. After an error nothing more can be read.
    pub(crate) fn take(&mut self, bytes: &mut &[u8]) -> Result<Option<Received>, CloseCode> {
        loop {
            if let Place::Header { .. } = self.place {
                let Some(header) = self.header(bytes)? else { return Ok(None) };
                self.begin(&header)?;
                self.place = Place::Payload { header, taken: 0, control: Vec::new() };
            }
            if !self.payload(bytes)? {
                return Ok(None);
            }
            let Place::Payload { header, control, .. } =
                std::mem::replace(&mut self.place, Place::START)
            else {
                return Ok(None);
            };
            if let Some(received) = self.complete(&header, control)? {
                return Ok(Some(received));
            }
        }
    }

    fn header(&mut self, input: &mut &[u8]) -> Result<Option<Header>, CloseCode> {
        let Place::Header { bytes, length } = &mut self.place else { return Ok(None) };
        while let Some((first, rest)) = input.split_first() {
            bytes[*length] = *first;
            *length += 1;
            *input = rest;
            let parsed = Header::parse(&bytes[..*length]);
            if let Some(header) = parsed.map_err(|_| CloseCode::ProtocolError)? {
                return Ok(Some(header));
            }
        }
        Ok(None)
    }

    /// Whether this frame may stand here, before anything of it is kept.
    fn begin(&mut self, header: &Header) -> Result<(), CloseCode> {
        match (header.opcode, &mut self.message) {
            (Opcode::Binary, None) if !self.takes_binary => return Err(CloseCode::Unsupported),
            (Opcode::Binary, message @ None) => *message = Some(Message::new(Kind::Binary)),
            (Opcode::Text, message @ None) => {
                *message = Some(Message::new(Kind::Text { checked: 0 }));
            }
            (Opcode::Continuation, Some(_)) => {}
            (opcode, _) if opcode.is_control() => return Ok(()),
            _ => return Err(CloseCode::ProtocolError),
        }
        let before = self.message.as_ref().map_or(0, |message| message.bytes.len());
        let room = self.message_bytes_max.saturating_sub(before);
        if usize::try_from(header.length).is_ok_and(|length| length <= room) {
            Ok(())
        } else {
            Err(CloseCode::TooBig)
        }
    }

    /// Takes what there is of the payload; answers whether it is complete.
    fn payload(&mut self, input: &mut &[u8]) -> Result<bool, CloseCode> {
        let Place::Payload { header, taken, control } = &mut self.place else { return Ok(false) };
        let left = usize::try_from(header.length - *taken).unwrap_or(usize::MAX);
        let (chunk, rest) = input.split_at(left.min(input.len()));
        *input = rest;
        let mut mask = header.mask;
        mask.rotate_left((*taken % 4) as usize);
        *taken += chunk.len() as u64;
        match &mut self.message {
            Some(message) if !header.opcode.is_control() => {
                unmask(&mut message.bytes, chunk, mask);
                message.check()?;
            }
            _ => unmask(control, chunk, mask),
        }
        Ok(*taken == header.length)
    }

    fn complete(
        &mut self,
        header: &Header,
        control: Vec<u8>,
    ) -> Result<Option<Received>, CloseCode> {
        Ok(match header.opcode {
            Opcode::Ping => Some(Received::Ping(control.into())),
            Opcode::Pong => Some(Received::Pong(control.into())),
            Opcode::Close => Some(Received::Close(close_code(&control)?)),
            _ if !header.is_last => None,
            _ => self.message.take().map(Message::complete).transpose()?,
        })
    }
}

impl Message {
    fn new(kind: Kind) -> Self {
        Self { bytes: Vec::new(), kind }
    }

    fn complete(self) -> Result<Received, CloseCode> {
        match self.kind {
            Kind::Text { .. } => String::from_utf8(self.bytes)
                .map(Received::Text)
                .map_err(|_| CloseCode::InvalidUtf8),
            Kind::Binary => Ok(Received::Binary(self.bytes)),
        }
    }

    /// A character may be cut by the end of a frame, or of what was read.
    fn check(&mut self) -> Result<(), CloseCode> {
        let Kind::Text { checked } = &mut self.kind else { return Ok(()) };
        match std::str::from_utf8(&self.bytes[*checked..]) {
            Ok(_) => *checked = self.bytes.len(),
            Err(error) if error.error_len().is_none() => *checked += error.valid_up_to(),
            Err(_) => return Err(CloseCode::InvalidUtf8),
        }
        Ok(())
    }
}

fn unmask(bytes: &mut Vec<u8>, chunk: &[u8], mask: [u8; 4]) {
    let start = bytes.len();
    bytes.extend_from_slice(chunk);
    for masked in bytes[start..].chunks_mut(mask.len()) {
        masked.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
    }
}

/// RFC 6455, sections 5.5.1 and 7.4.
fn close_code(payload: &[u8]) -> Result<Option<u16>, CloseCode> {
    if payload.is_empty() {
        return Ok(None);
    }
    let Some((code, reason)) = payload.split_first_chunk() else {
        return Err(CloseCode::ProtocolError);
    };
    let code = u16::from_be_bytes(*code);
    match code {
        1000..=1003 | 1007..=1014 | 3000..=4999 => {}
        _ => return Err(CloseCode::ProtocolError),
    }
    std::str::from_utf8(reason).map_err(|_| CloseCode::InvalidUtf8)?;
    Ok(Some(code))
}

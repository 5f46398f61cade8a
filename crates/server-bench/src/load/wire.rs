//! WebSocket frames (RFC 6455, section 5), as a client sends and reads them. Ten thousand connections
//! of a generator share one core and one buffer, so there is no library around them.

/// In place of a length: it follows, in so many bits.
const LENGTH_16: u8 = 0x7e;
const LENGTH_64: u8 = 0x7f;

pub(super) const TEXT: u8 = 1;
pub(super) const BINARY: u8 = 2;
pub(super) const CLOSE: u8 = 8;
pub(super) const PING: u8 = 9;
pub(super) const PONG: u8 = 10;

/// What a client has to send back.
#[derive(Debug, Default)]
pub(super) struct Outbox(Vec<u8>);

impl Outbox {
    pub(super) fn text(&mut self, text: &str) {
        self.frame(TEXT, text.as_bytes());
    }

    pub(super) fn binary(&mut self, data: &[u8]) {
        self.frame(BINARY, data);
    }

    /// Masked with a key of zeros: which key makes no difference to whoever reads it.
    pub(super) fn frame(&mut self, opcode: u8, data: &[u8]) {
        self.0.push(0x80 | opcode);
        match data.len() {
            length @ 0..=125 => self.0.push(0x80 | length as u8),
            length @ 126..=0xffff => {
                self.0.push(0x80 | LENGTH_16);
                self.0.extend((length as u16).to_be_bytes());
            }
            length => {
                self.0.push(0x80 | LENGTH_64);
                self.0.extend((length as u64).to_be_bytes());
            }
        }
        self.0.extend([0; 4]);
        self.0.extend(data);
    }

    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0)
    }
}

/// Hands over each whole frame of a server's, by its opcode, and answers how many bytes those were.
pub(super) fn each_frame(bytes: &[u8], mut take: impl FnMut(u8, &[u8])) -> usize {
    let mut used = 0;
    while let Some((opcode, payload)) = first_frame(&bytes[used..]) {
        take(opcode, &bytes[used..][payload.clone()]);
        used += payload.end;
    }
    used
}

fn first_frame(bytes: &[u8]) -> Option<(u8, std::ops::Range<usize>)> {
    let (header, length) = match bytes.get(1)? & 0x7f {
        LENGTH_16 => (4, u64::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        LENGTH_64 => (10, u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)),
        length => (2, u64::from(length)),
    };
    let end = header + usize::try_from(length).ok()?;
    (bytes.len() >= end).then_some((bytes[0] & 0x0f, header..end))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a server sends it: not masked.
    fn served(opcode: u8, data: &[u8]) -> Vec<u8> {
        let mut frame = vec![0x80 | opcode];
        match data.len() {
            length @ 0..=125 => frame.push(length as u8),
            length @ 126..=0xffff => {
                frame.push(LENGTH_16);
                frame.extend((length as u16).to_be_bytes());
            }
            length => {
                frame.push(LENGTH_64);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.extend(data);
        frame
    }

    #[test]
    fn frames_of_every_length_are_read_whole_and_what_is_cut_waits() {
        let sizes = [0, 125, 126, 0xffff, 0x1_0000];
        let bytes: Vec<u8> =
            sizes.iter().flat_map(|&size| served(TEXT, &vec![b'x'; size])).collect();
        for cut in [bytes.len(), bytes.len() - 1] {
            let mut read = Vec::new();
            let used = each_frame(&bytes[..cut], |opcode, data| {
                assert_eq!(opcode, TEXT);
                read.push(data.len());
            });
            let whole = if cut == bytes.len() { sizes.len() } else { sizes.len() - 1 };
            assert_eq!(read, sizes[..whole]);
            assert_eq!(used, bytes.len() - if cut == bytes.len() { 0 } else { 0x1_0000 + 10 });
        }
    }

    #[test]
    fn what_a_client_sends_is_masked() {
        let mut outbox = Outbox::default();
        outbox.text("hi");
        assert_eq!(outbox.take(), [0x81, 0x82, 0, 0, 0, 0, b'h', b'i']);
        outbox.binary(&[7; 200]);
        assert_eq!(outbox.take()[..4], [0x82, 0xfe, 0, 200]);
    }
}

use std::collections::VecDeque;

use bytestring::ByteString;

use crate::store::Room;

/// One user's live-only messages, the newest of them. Each connection has a place in it; one that is
/// too slow misses the oldest, and nobody waits for it.
#[derive(Default)]
pub(super) struct Ring {
    /// How many were ever pushed: the newest has this number.
    said: u64,
    texts: VecDeque<ByteString>,
    bytes: usize,
}

impl Ring {
    pub(super) fn said(&self) -> u64 {
        self.said
    }

    /// The newest always stays, whatever its size.
    pub(super) fn push(&mut self, text: ByteString, messages_max: usize, bytes_max: usize) {
        self.said += 1;
        self.bytes += text.len();
        self.texts.push_back(text);
        while self.texts.len() > 1 && (self.texts.len() > messages_max || self.bytes > bytes_max) {
            let Some(oldest) = self.texts.pop_front() else { break };
            self.bytes -= oldest.len();
        }
    }

    /// Reads on after number `heard`, at least one if there is one, and answers where that ended.
    pub(super) fn read(&self, heard: u64, room: Room) -> (Vec<ByteString>, u64) {
        let missed = self.said - self.texts.len() as u64;
        let from = heard.max(missed);
        let skipped = usize::try_from(from - missed).unwrap_or(usize::MAX);
        let page = room.fill(self.texts.iter().skip(skipped), |text| text.len());
        let heard = from + page.len() as u64;
        (page, heard)
    }

    /// Gives the memory back. What is dropped counts as missed.
    pub(super) fn clear(&mut self) {
        self.texts = VecDeque::new();
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: Room = Room { messages: 100, bytes: 1_000 };

    fn ring(messages_max: usize, bytes_max: usize, texts: &[&'static str]) -> Ring {
        let mut ring = Ring::default();
        for text in texts {
            ring.push(ByteString::from_static(text), messages_max, bytes_max);
        }
        ring
    }

    fn read(ring: &Ring, heard: u64, room: Room) -> (Vec<String>, u64) {
        let (page, heard) = ring.read(heard, room);
        (page.iter().map(ToString::to_string).collect(), heard)
    }

    #[test]
    fn it_overwrites_its_oldest_at_the_edge_of_its_count() {
        let full = ring(3, 100, &["a", "b", "c"]);
        assert_eq!(read(&full, 0, ROOM), (["a", "b", "c"].map(str::to_owned).to_vec(), 3));
        let over = ring(3, 100, &["a", "b", "c", "d"]);
        assert_eq!(read(&over, 0, ROOM), (["b", "c", "d"].map(str::to_owned).to_vec(), 4));
        assert_eq!(read(&over, 3, ROOM), (vec!["d".to_owned()], 4));
        assert_eq!(read(&over, 4, ROOM), (vec![], 4));
    }

    #[test]
    fn it_overwrites_its_oldest_at_the_edge_of_its_bytes_and_keeps_the_newest() {
        assert_eq!(read(&ring(9, 4, &["aa", "bb"]), 0, ROOM).0.len(), 2);
        assert_eq!(read(&ring(9, 3, &["aa", "bb"]), 0, ROOM).0, ["bb"]);
        assert_eq!(read(&ring(9, 3, &["aa", "large"]), 0, ROOM).0, ["large"]);
    }

    #[test]
    fn a_piece_takes_what_fits_and_at_least_one() {
        let ring = ring(9, 100, &["aa", "bb", "cc"]);
        assert_eq!(read(&ring, 0, Room { bytes: 4, ..ROOM }), (vec!["aa".into(), "bb".into()], 2));
        assert_eq!(read(&ring, 2, Room { bytes: 1, ..ROOM }), (vec!["cc".into()], 3));
        assert_eq!(read(&ring, 0, Room { messages: 1, ..ROOM }).1, 1);
    }
}

//! The lines of a batch, in pieces that fit into one request.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Read, Stdin},
    path::Path,
    str::FromStr,
};

use anyhow::{Context as _, Result};
use serde::{Deserialize, de::IgnoredAny};
use tetherline_protocol::{IdempotencyKey, InvalidId, limits::PUBLISH_REQUEST_BYTES_MAX};

/// Lines of one piece.
const PIECE_LINES_MAX: usize = 500;
/// The same in bytes; a line that is longer is a piece of its own.
const PIECE_BYTES_MAX: usize = 1024 * 1024;
/// What is read at once, in bytes.
const READ_BYTES: usize = 256 * 1024;

/// What keys of lines that have none begin with.
#[derive(Debug, Clone)]
pub(super) struct KeyPrefix(String);

impl KeyPrefix {
    /// As JSON. A prefix was only taken with room for every number.
    fn key(&self, number: u64) -> String {
        serde_json::to_string(&format!("{}-{number}", self.0)).expect("a text is JSON")
    }
}

impl FromStr for KeyPrefix {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let _longest: IdempotencyKey = format!("{text}-{}", u64::MAX).parse()?;
        Ok(Self(text.to_owned()))
    }
}

/// One line that is not empty.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Counted from 1.
    pub(super) number: u64,
    pub(super) text: String,
    pub(super) has_key: bool,
}

/// A line that nobody need be asked about.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadLine {
    pub(super) number: u64,
    pub(super) why: &'static str,
}

enum Source {
    File(BufReader<File>),
    /// Who writes to it may go on later: what is there is not held back for what is to come.
    Stdin(BufReader<Stdin>),
}

pub(super) struct Lines<'a> {
    source: Source,
    key_prefix: Option<&'a KeyPrefix>,
    number: u64,
}

impl<'a> Lines<'a> {
    pub(super) fn open(path: &Path, key_prefix: Option<&'a KeyPrefix>) -> Result<Self> {
        let source = if path.as_os_str() == "-" {
            Source::Stdin(BufReader::with_capacity(READ_BYTES, io::stdin()))
        } else {
            let file = File::open(path).with_context(|| {
                format!("cannot read {}; --batch names the file", path.display())
            })?;
            Source::File(BufReader::with_capacity(READ_BYTES, file))
        };
        Ok(Self { source, key_prefix, number: 0 })
    }

    /// The next lines, in order; none at the end.
    pub(super) fn next_piece(&mut self) -> io::Result<Vec<Result<Line, BadLine>>> {
        let (mut piece, mut bytes) = (Vec::new(), 0);
        while piece.len() < PIECE_LINES_MAX && bytes < PIECE_BYTES_MAX {
            if !piece.is_empty() && !self.source.has_more_at_once() {
                break;
            }
            let Some(line) = self.next_line()? else { break };
            bytes += line.as_ref().map_or(0, |line| line.text.len());
            piece.push(line);
        }
        Ok(piece)
    }

    fn next_line(&mut self) -> io::Result<Option<Result<Line, BadLine>>> {
        loop {
            let mut bytes = Vec::new();
            let longest = PUBLISH_REQUEST_BYTES_MAX as u64 + 1;
            if self.source.read_until_break(&mut bytes, longest)? == 0 {
                return Ok(None);
            }
            self.number += 1;
            let number = self.number;
            let bad = |why| Ok(Some(Err(BadLine { number, why })));
            if bytes.len() as u64 == longest && bytes.last() != Some(&b'\n') {
                self.source.skip_to_break()?;
                return bad("it is longer than a request may be, 8 MiB");
            }
            let Ok(text) = String::from_utf8(bytes) else { return bad("it is not UTF-8") };
            let text = text.trim();
            if !text.is_empty() {
                return Ok(Some(Ok(self.line(text))));
            }
        }
    }

    fn line(&self, text: &str) -> Line {
        /// What is wrong with the rest of it, the server says.
        #[derive(Deserialize)]
        struct Item {
            idempotency_key: Option<IgnoredAny>,
            durable: Option<bool>,
        }
        let number = self.number;
        let Ok(item) = serde_json::from_str::<Item>(text) else {
            return Line { number, text: text.to_owned(), has_key: false };
        };
        // A live-only message has no key, and nothing of it is there to be doubled.
        let has_key = item.idempotency_key.is_some() || item.durable == Some(false);
        match (self.key_prefix, text.strip_prefix('{')) {
            (Some(prefix), Some(fields)) if !has_key && !fields.trim_start().starts_with('}') => {
                let text = format!(r#"{{"idempotency_key":{},{fields}"#, prefix.key(number));
                Line { number, text, has_key: true }
            }
            _ => Line { number, text: text.to_owned(), has_key },
        }
    }
}

impl Source {
    fn has_more_at_once(&self) -> bool {
        match self {
            Self::File(_) => true,
            Self::Stdin(stdin) => !stdin.buffer().is_empty(),
        }
    }

    fn read_until_break(&mut self, line: &mut Vec<u8>, bytes_max: u64) -> io::Result<usize> {
        match self {
            Self::File(file) => file.take(bytes_max).read_until(b'\n', line),
            Self::Stdin(stdin) => stdin.take(bytes_max).read_until(b'\n', line),
        }
    }

    fn skip_to_break(&mut self) -> io::Result<usize> {
        match self {
            Self::File(file) => file.skip_until(b'\n'),
            Self::Stdin(stdin) => stdin.skip_until(b'\n'),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[u8], prefix: Option<&str>) -> Vec<Vec<Result<Line, BadLine>>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("batch");
        std::fs::write(&path, text).unwrap();
        let prefix = prefix.map(|prefix| prefix.parse().unwrap());
        let mut lines = Lines::open(&path, prefix.as_ref()).unwrap();
        let pieces = std::iter::from_fn(|| {
            let piece = lines.next_piece().unwrap();
            (!piece.is_empty()).then_some(piece)
        });
        pieces.collect()
    }

    fn texts(text: &str, prefix: Option<&str>) -> Vec<(u64, String)> {
        let lines = lines(text.as_bytes(), prefix).into_iter().flatten();
        lines.map(|line| line.map(|line| (line.number, line.text)).unwrap()).collect()
    }

    #[test]
    fn a_line_without_a_key_gets_one_by_its_number_and_is_otherwise_as_it_was() {
        let text = "\n{\"user\": 1.50}\r\n\n  {\"idempotency_key\":\"k\",\"a\":1}\n{}\nnope\n{\"durable\":false}";
        let as_they_are = texts(text, None);
        assert_eq!(as_they_are[0], (2, r#"{"user": 1.50}"#.to_owned()));
        assert_eq!(as_they_are.len(), 5);
        let keyed = texts(text, Some("q\"3"));
        assert_eq!(keyed[0], (2, r#"{"idempotency_key":"q\"3-2","user": 1.50}"#.to_owned()));
        assert_eq!(keyed[1..], as_they_are[1..]);
        assert!("a b".parse::<KeyPrefix>().is_err());
        assert!("x".repeat(234).parse::<KeyPrefix>().is_ok());
        assert!("x".repeat(235).parse::<KeyPrefix>().is_err());
    }

    #[test]
    fn a_piece_ends_with_as_many_lines_or_bytes_as_fit() {
        let sizes = |text: &str| -> Vec<usize> {
            lines(text.as_bytes(), None).iter().map(Vec::len).collect()
        };
        assert_eq!(sizes(&"{}\n".repeat(PIECE_LINES_MAX)), [PIECE_LINES_MAX]);
        assert_eq!(sizes(&"{}\n".repeat(PIECE_LINES_MAX + 1)), [PIECE_LINES_MAX, 1]);
        let half = format!("{}\n", "x".repeat(PIECE_BYTES_MAX / 2));
        assert_eq!(sizes(&half.repeat(3)), [2, 1]);
    }

    #[test]
    fn a_line_that_cannot_be_sent_is_named_and_the_next_one_read() {
        let mut text = b"\xff\n".to_vec();
        text.extend(vec![b'x'; PUBLISH_REQUEST_BYTES_MAX + 5]);
        text.extend(b"\n{}\n");
        let read: Vec<_> = lines(&text, None).into_iter().flatten().collect();
        let numbers: Vec<_> = read
            .iter()
            .map(|line| line.as_ref().map(|line| line.number).map_err(|bad| bad.number))
            .collect();
        assert_eq!(numbers, [Err(1), Err(2), Ok(3)]);
    }
}

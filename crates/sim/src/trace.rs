use std::{collections::VecDeque, fmt::Write as _};

/// How many of the last events a failure shows.
const LINES_MAX: usize = 200;

/// What happened, as a hash of all of it and the text of its end.
pub(crate) struct Trace {
    hash: u64,
    steps: u64,
    last: VecDeque<String>,
}

impl Trace {
    pub(crate) fn new() -> Self {
        Self { hash: 0xCBF2_9CE4_8422_2325, steps: 0, last: VecDeque::new() }
    }

    pub(crate) fn note(&mut self, now: u64, text: &str) {
        // FNV-1a.
        for byte in now.to_le_bytes().iter().chain(text.as_bytes()) {
            self.hash = (self.hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3);
        }
        self.steps += 1;
        let mut line = match self.last.len() {
            LINES_MAX => self.last.pop_front().unwrap_or_default(),
            _ => String::new(),
        };
        line.clear();
        // Writing to a `String` cannot fail.
        let _ = write!(line, "{now:>8} ms  {text}");
        self.last.push_back(line);
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    pub(crate) fn steps(&self) -> u64 {
        self.steps
    }

    pub(crate) fn into_last(self) -> Vec<String> {
        self.last.into()
    }
}

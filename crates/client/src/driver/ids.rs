use tetherline_engine::{IdNo, Mark};
use tetherline_protocol::{MessageId, Seq};

/// The engine's numbers for messages' ids. Of interest is one alone, that of the message at the page's
/// position; every other text gets a new number.
#[derive(Debug, Default)]
pub(super) struct Ids {
    last: u32,
    /// The one at the page's position.
    kept: Option<(IdNo, MessageId)>,
    /// Those of the frame that the engine is being told of.
    told: Vec<(IdNo, MessageId)>,
}

impl Ids {
    pub(super) fn number(&mut self, id: Option<&MessageId>) -> IdNo {
        let Some(id) = id else { return IdNo::NONE };
        let mut known = self.kept.iter().chain(&self.told);
        if let Some((number, _)) = known.find(|(_, known)| known == id) {
            return *number;
        }
        // After four billion messages they begin again; 0 is none.
        self.last = self.last.checked_add(1).unwrap_or(1);
        let number = IdNo(self.last);
        self.told.push((number, id.clone()));
        number
    }

    pub(super) fn mark(&mut self, seq: Seq, id: Option<&MessageId>) -> Mark {
        Mark { seq, id: self.number(id) }
    }

    /// The engine was told of a frame, and keeps this number.
    pub(super) fn keep(&mut self, number: IdNo) {
        if let Some(index) = self.told.iter().position(|(told, _)| *told == number) {
            self.kept = Some(self.told.swap_remove(index));
        }
        self.told.clear();
    }

    /// As JSON. Ids need no escaping.
    pub(super) fn json(&self, number: IdNo) -> String {
        match &self.kept {
            Some((kept, id)) if *kept == number => format!("\"{id}\""),
            _ => "null".into(),
        }
    }
}

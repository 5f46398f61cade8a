use std::collections::BTreeMap;

use tetherline_engine::{IdNo, Mark};
use tetherline_protocol::{MessageId, Seq};

/// Numbers for messages' ids, as each driver gives them; here all pages share them.
#[derive(Default)]
pub(crate) struct Ids {
    numbers: BTreeMap<MessageId, u32>,
    texts: Vec<MessageId>,
}

impl Ids {
    pub(crate) fn number(&mut self, id: Option<&MessageId>) -> IdNo {
        let Some(id) = id else { return IdNo::NONE };
        if let Some(number) = self.numbers.get(id) {
            return IdNo(*number);
        }
        self.texts.push(id.clone());
        let number = u32::try_from(self.texts.len()).expect("few messages");
        self.numbers.insert(id.clone(), number);
        IdNo(number)
    }

    pub(crate) fn mark(&mut self, seq: Seq, id: Option<&MessageId>) -> Mark {
        Mark { seq, id: self.number(id) }
    }

    pub(crate) fn text(&self, number: IdNo) -> Option<&MessageId> {
        self.texts.get(usize::try_from(number.0).ok()?.checked_sub(1)?)
    }
}

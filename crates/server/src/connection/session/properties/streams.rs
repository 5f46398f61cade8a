//! What a client has of streams.

use serde_json::Value;

use super::Rig;

impl Rig {
    pub(super) fn have(&self) -> String {
        let have = self.shown.iter().map(|(uuid, (attempt, text))| {
            let offset = text.len();
            format!(r#"{{"message_uuid":"{uuid}","attempt":{attempt},"offset":{offset}}}"#)
        });
        have.collect::<Vec<_>>().join(",")
    }

    /// An stream never has a hole, and never another text than the one that was written.
    pub(super) fn see_streams(&mut self, frame: &Value) {
        let uuid = frame["message_uuid"].as_str().expect("a name").to_owned();
        let attempt = frame["attempt"].as_u64().expect("an attempt");
        if frame["type"] == "message_start" {
            let known = self.shown.get(&uuid).map_or(0, |(known, _)| *known);
            assert!(attempt >= known, "attempt {attempt} after {known}");
            if attempt > known {
                self.shown.insert(uuid, (attempt, Vec::new()));
            }
            return;
        }
        let (known, text) = self.shown.get_mut(&uuid).expect("its start came first");
        assert_eq!(*known, attempt, "text of an attempt that has not begun");
        let offset = usize::try_from(frame["offset"].as_u64().expect("an offset")).unwrap_or(0);
        assert!(offset <= text.len(), "a hole from {} to {offset}", text.len());
        text.truncate(offset);
        text.extend(frame["text"].as_str().expect("text").encode_utf16());
        let name = uuid[1..].parse().expect("a number");
        if let Some(stream) = self.streams.get(name).filter(|it| u64::from(it.attempt) == attempt) {
            let written: Vec<u16> = stream.text.encode_utf16().collect();
            assert!(written.starts_with(text), "another text than {}", stream.text);
        }
    }
}

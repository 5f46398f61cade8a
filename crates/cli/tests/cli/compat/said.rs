//! Whether a version says now what another one said.

use std::collections::HashMap;

use serde_json::Value;

/// Values that differ from run to run: they have to be there, and be of the same kind.
const OF_THEIR_TIME: [&str; 8] = [
    "timestamp",
    "server_time",
    "connection_id",
    "token",
    "token_expires_in_ms",
    "heartbeat_interval_ms",
    "limits",
    "retry_after_ms",
];
/// Names that one side makes up: another name, and the same one for the same thing.
const MADE_UP: [&str; 2] = ["id", "epoch"];

/// What stands now for what was recorded.
#[derive(Debug, Default)]
pub(crate) struct Names(HashMap<String, String>);

impl Names {
    /// Puts today's names in the place of those that were recorded.
    pub(crate) fn translate(&self, frame: &Value) -> Value {
        let mut frame = frame.clone();
        if let Some(epoch) = frame.get_mut("epoch") {
            let known = epoch.as_str().and_then(|epoch| self.0.get(epoch));
            *epoch = Value::from(known.expect("an epoch that the server has said").as_str());
        }
        frame
    }

    /// Everything that was said is said, with the same values; more may come beside it.
    pub(crate) fn compare(&mut self, recorded: &Value, now: &Value) -> Result<(), String> {
        self.compare_at("", recorded, now)
            .map_err(|what| format!("{what}\n recorded: {recorded}\n now: {now}"))
    }

    fn compare_at(&mut self, key: &str, recorded: &Value, now: &Value) -> Result<(), String> {
        let is_sentence = key == "message" && recorded.is_string();
        match (recorded, now) {
            (Value::String(known), Value::String(name)) if MADE_UP.contains(&key) => {
                let first = self.0.entry(known.clone()).or_insert_with(|| name.clone());
                let same = first == name;
                same.then_some(()).ok_or_else(|| format!("`{key}` is {name} and was {first}"))
            }
            (Value::Object(fields), Value::Object(others)) => {
                for (key, recorded) in fields {
                    let now = others.get(key).ok_or_else(|| format!("`{key}` is not said"))?;
                    self.compare_at(key, recorded, now)?;
                }
                Ok(())
            }
            (Value::Array(items), Value::Array(others)) if items.len() == others.len() => items
                .iter()
                .zip(others)
                .try_for_each(|(item, other)| self.compare_at(key, item, other)),
            _ if is_sentence || OF_THEIR_TIME.contains(&key) => {
                let same = std::mem::discriminant(recorded) == std::mem::discriminant(now);
                same.then_some(()).ok_or_else(|| format!("`{key}` is of another kind"))
            }
            _ => (recorded == now).then_some(()).ok_or_else(|| format!("`{key}` differs")),
        }
    }
}

#[test]
fn what_is_not_said_any_more_is_noticed_and_what_is_said_beside_it_is_not() {
    use serde_json::json;

    let recorded = json!({ "type": "note", "id": "1", "seq": 4, "timestamp": "then" });
    let compare = |now: Value| Names::default().compare(&recorded, &now);
    let now = json!({ "type": "note", "id": "x", "seq": 4, "timestamp": "now", "more": [1] });
    assert_eq!(compare(now), Ok(()));
    assert!(compare(json!({ "type": "note", "id": "x", "timestamp": "now" })).is_err());
    assert!(compare(json!({ "type": "note", "id": "x", "seq": 5, "timestamp": "now" })).is_err());
    let mut names = Names::default();
    assert_eq!(names.compare(&json!({ "id": "1" }), &json!({ "id": "x" })), Ok(()));
    assert!(names.compare(&json!({ "id": "1" }), &json!({ "id": "y" })).is_err());
}

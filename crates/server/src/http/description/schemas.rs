//! What goes over HTTP, as JSON schemas.

use serde_json::{Value, json};
use tetherline_protocol::limits::{
    ID_BYTES_MAX, IDEMPOTENCY_KEY_BYTES_MAX, PUBLISH_ITEMS_MAX, USER_ID_BYTES_MAX,
};

use crate::http::{PAGE_MESSAGES_MAX, PRESENCE_USERS_MAX};

/// Positions count up to what JavaScript counts exactly.
const SEQ_MAX: u64 = (1 << 53) - 1;

pub(super) fn of_parameter(name: &str) -> Value {
    match name {
        "user" => user(),
        "after" | "offset" => json!({ "type": "integer", "minimum": 0, "maximum": SEQ_MAX }),
        "seq" => json!({ "type": "integer", "minimum": 1, "maximum": SEQ_MAX }),
        "limit" => json!({ "type": "integer", "minimum": 1, "maximum": PAGE_MESSAGES_MAX }),
        "durable" => json!({ "type": "boolean", "default": true }),
        "attempt" => json!({ "type": "integer", "minimum": 1, "maximum": u32::MAX }),
        "Idempotency-Key" => {
            json!({ "type": "string", "minLength": 1, "maxLength": IDEMPOTENCY_KEY_BYTES_MAX, "pattern": "^[!-~]+$" })
        }
        "message_uuid" => {
            json!({ "type": "string", "minLength": 1, "maxLength": ID_BYTES_MAX, "pattern": "^[A-Za-z0-9._~-]+$" })
        }
        _ => json!({ "type": "string", "minLength": 1 }),
    }
}

fn user() -> Value {
    json!({
        "type": "string", "minLength": 1, "maxLength": USER_ID_BYTES_MAX,
        "pattern": r"^[^\u0000-\u001f\u007f-\u009f/\\]+$",
        "description": "255 bytes of UTF-8 at most, without control characters, slash and backslash",
        "examples": ["ada", "auth0|5f7c"],
    })
}

pub(super) fn all() -> Value {
    let text = || json!({ "type": "string" });
    let time = || json!({ "type": "string", "format": "date-time" });
    let seq = || json!({ "type": "integer", "minimum": 0, "maximum": SEQ_MAX });
    let count = || json!({ "type": "integer", "minimum": 0 });
    let list = |schema: &str| json!({ "type": "array", "items": { "$ref": format!("#/components/schemas/{schema}") } });
    json!({
        "Problem": object(&["type", "title", "status", "detail", "error"], json!({
            "type": text(), "title": text(), "status": { "type": "integer" }, "detail": text(),
            "error": { "$ref": "#/components/schemas/Error" },
        })),
        "Error": object(&["code", "message"], json!({
            "code": text(), "message": text(), "field": text(), "reason": text(), "retry_after_ms": count(),
            "next_offset": count(), "attempt": count(), "status": text(),
        })),
        "Message": {
            "type": "object", "required": ["type"], "properties": { "type": { "type": "string", "minLength": 1 } },
            "additionalProperties": true, "examples": [{ "type": "note", "text": "hello" }],
        },
        "Published": object(&["id", "seq"], json!({ "id": text(), "seq": seq() })),
        "PublishedLive": object(&["id"], json!({ "id": text() })),
        "Items": { "type": "array", "maxItems": PUBLISH_ITEMS_MAX, "items": { "$ref": "#/components/schemas/Item" } },
        "Item": closed(&["message"], json!({
            "user": user(), "users": { "type": "array", "items": user() }, "everybody": { "const": true },
            "message": { "$ref": "#/components/schemas/Message" }, "idempotency_key": text(),
            "durable": { "type": "boolean" },
        })),
        "PublishedItem": object(&["status"], json!({
            "status": { "type": "integer" }, "user": text(), "id": text(), "seq": seq(),
            "repeated": { "type": "boolean" }, "users": list("PublishedItem"),
            "error": { "$ref": "#/components/schemas/Error" },
        })),
        "Page": object(&["messages", "next", "head", "epoch"], json!({
            "messages": list("Message"), "next": seq(), "head": seq(), "epoch": text(),
        })),
        "Head": object(&["user", "head", "epoch", "connections", "server"], json!({
            "user": text(), "head": seq(), "head_id": text(), "epoch": text(), "connections": count(), "server": text(),
        })),
        "Device": object(&["device", "cursor", "behind", "last_used"], json!({
            "device": text(), "cursor": seq(), "behind": count(), "last_used": time(),
        })),
        "Presence": object(&["user", "connections"], json!({ "user": text(), "connections": count() })),
        "Users": closed(&["users"], json!({
            "users": { "type": "array", "maxItems": PRESENCE_USERS_MAX, "items": user() },
        })),
        "PresenceOfMany": object(&["connections"], json!({
            "connections": { "type": "object", "additionalProperties": count() },
        })),
        "Inspection": object(
            &["user", "head", "epoch", "trimmed", "devices", "connections", "sends", "sign_outs", "streams"],
            json!({
                "user": text(), "head": seq(), "head_id": text(), "epoch": text(), "trimmed": seq(),
                "devices": list("Device"), "connections": { "type": "array", "items": { "type": "object" } },
                "sends": { "type": "array", "items": { "type": "object" } }, "sign_outs": list("SignOut"),
                "streams": list("OpenStream"), "message": { "type": "object" },
                "verdicts": { "type": "array", "items": object(&["state", "says"], json!({
                    "device": text(), "state": text(), "says": text(),
                })) },
            }),
        ),
        "SignOut": object(&["everywhere", "at"], json!({ "everywhere": { "type": "boolean" }, "at": time() })),
        "TicketWish": closed(&["user"], json!({ "user": user() })),
        "Ticket": object(&["ticket", "user", "expires_in_ms"], json!({
            "ticket": text(), "user": text(), "expires_in_ms": count(),
        })),
        "OpenStream": object(&["message_uuid", "attempt", "opened"], json!({
            "message_uuid": text(), "attempt": count(), "opened": time(),
        })),
        "StreamOpening": {
            "type": "object", "additionalProperties": true,
            "properties": { "message_uuid": of_parameter("message_uuid") },
        },
        "OpenedStream": {
            "type": "object", "required": ["message_uuid", "attempt", "next_offset"], "additionalProperties": true,
            "properties": { "message_uuid": text(), "attempt": count(), "next_offset": count() },
        },
        "StreamState": object(&["message_uuid", "attempt", "phase", "next_offset"], json!({
            "message_uuid": text(), "attempt": count(), "phase": text(), "next_offset": count(), "text": text(),
        })),
        "Text": {
            "type": "object", "required": ["text"],
            "properties": { "text": text(), "offset": of_parameter("offset") },
        },
        "Added": object(&["next_offset"], json!({ "next_offset": count() })),
        "StreamEnding": { "type": "object", "additionalProperties": true },
        "FinishedStream": object(&["status", "id", "seq"], json!({ "status": text(), "id": text(), "seq": seq() })),
        "Health": object(&["status"], json!({ "status": text() })),
        "Description": { "type": "object" },
    })
}

/// An answer: a later version may say more.
#[expect(clippy::needless_pass_by_value, reason = "it is made where it is named")]
fn object(required: &[&str], properties: Value) -> Value {
    json!({ "type": "object", "required": required, "properties": properties })
}

/// What is asked for: anything else in it is refused.
fn closed(required: &[&str], properties: Value) -> Value {
    let mut object = object(required, properties);
    object["additionalProperties"] = false.into();
    object
}

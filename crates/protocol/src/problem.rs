use alloc::boxed::Box;

use serde_json::Value;

use crate::{ErrorCode, NO_TOKEN};

/// An error as Tetherline's HTTP says it, `{"error": {"code", "message", "field"?, "reason"?}}`.
///
/// A status alone proves nothing: whatever stands between a client and its server answers with the
/// same ones. Only a body of this form is a word of the server's.
///
/// ```
/// use tetherline_protocol::{ErrorCode, Problem};
///
/// let problem = Problem::parse(br#"{"error":{"code":"forbidden","message":"Not yours."}}"#);
/// assert_eq!(problem.map(|problem| problem.code), Some(ErrorCode::Forbidden));
/// assert_eq!(Problem::parse(b"<h1>403 Forbidden</h1>"), None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What it is about.
    pub code: ErrorCode,
    /// For people.
    pub message: Box<str>,
    /// Which part of the request it is about.
    pub field: Option<Box<str>>,
    /// What a program can tell it apart by from others with the same code.
    pub reason: Option<Box<str>>,
}

impl Problem {
    /// Reads a body. `None` if it has another form, or a code that this version does not know.
    #[must_use]
    pub fn parse(body: &[u8]) -> Option<Self> {
        let body: Value = serde_json::from_slice(body).ok()?;
        let error = body.get("error")?;
        let text = |name| error.get(name).and_then(Value::as_str);
        let code = text("code")?;
        Some(Self {
            code: ErrorCode::ALL.into_iter().find(|known| known.as_str() == code)?,
            message: text("message").unwrap_or_default().into(),
            field: text("field").map(Box::from),
            reason: text("reason").map(Box::from),
        })
    }

    /// Whether the server saw no token at all. To whoever sent one, this says nothing of it:
    /// something in between has taken it away.
    #[must_use]
    pub fn saw_no_token(&self) -> bool {
        self.reason.as_deref() == Some(NO_TOKEN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_servers_own_form_is_one() {
        for body in [
            "",
            "{}",
            "<h1>401 Authorization Required</h1>",
            r#"{"error":"unauthorized"}"#,
            r#"{"error":{"code":401}}"#,
            r#"{"error":{"code":"not_ours"}}"#,
            r#"{"code":"unauthorized"}"#,
            r#"[{"error":{"code":"unauthorized"}}]"#,
            r#"[["unauthorized"]]"#,
        ] {
            assert_eq!(Problem::parse(body.as_bytes()), None, "{body}");
        }
        let named = br#"{"error":{"code":"unauthorized","message":"No.","field":"f","x":1},"y":2}"#;
        let problem = Problem::parse(named).expect("fields that nobody knows are let be");
        assert_eq!(problem.code, ErrorCode::Unauthorized);
        assert_eq!((&*problem.message, problem.field.as_deref()), ("No.", Some("f")));
        assert!(!problem.saw_no_token());
        let missed = br#"{"error":{"code":"unauthorized","message":"No.","reason":"no_token"}}"#;
        assert!(Problem::parse(missed).is_some_and(|problem| problem.saw_no_token()));
    }
}

//! The server's own messages as TypeScript, read from their structs.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::{Context as _, Result, bail, ensure};
use tetherline_protocol::message_type::SERVER_CONTROL;

const SOURCE: &str = "crates/protocol/src/frame/server.rs";

/// A struct of the wire. The first word of its comment names its `type`, if it is a whole frame.
struct Frame {
    name: String,
    comment: String,
    fields: Vec<Field>,
}

struct Field {
    name: String,
    comment: String,
    /// Its type in Rust.
    kind: String,
}

/// An interface with the fields of every message that the server sends by itself.
pub(super) fn write_control_messages(out: &mut String, root: &Path) -> Result<()> {
    let source =
        fs::read_to_string(root.join(SOURCE)).with_context(|| format!("reading {SOURCE}"))?;
    let structs = structs_of(&source);
    writeln!(
        out,
        "\n/** What the server itself says. Handlers may listen, but need not: the engine has seen to it. */\nexport interface ControlMessages {{"
    )?;
    for wire_type in SERVER_CONTROL {
        let start = format!("`{wire_type}`:");
        let frame = structs
            .iter()
            .find(|frame| frame.comment.starts_with(&start))
            .with_context(|| format!("no struct of {SOURCE} has a comment that says {start}"))?;
        let what = frame.comment[start.len()..].trim();
        writeln!(out, "  /** {} */\n  {wire_type}: {{", capitalised(what))?;
        write_fields(out, frame, &structs, 2)?;
        writeln!(out, "  }};")?;
    }
    writeln!(out, "}}")?;
    Ok(())
}

fn write_fields(out: &mut String, frame: &Frame, structs: &[Frame], depth: usize) -> Result<()> {
    ensure!(!frame.fields.is_empty(), "{} has no fields in {SOURCE}", frame.name);
    let indent = "  ".repeat(depth);
    for Field { name, comment, kind } in &frame.fields {
        let inner = kind.strip_prefix("Option<").and_then(|rest| rest.strip_suffix('>'));
        let mark = if inner.is_some() { "?" } else { "" };
        let inner = inner.unwrap_or(kind);
        writeln!(out, "{indent}/** {comment} */")?;
        if let Some(nested) = structs.iter().find(|other| other.name == inner) {
            writeln!(out, "{indent}{name}{mark}: {{")?;
            write_fields(out, nested, structs, depth + 1)?;
            writeln!(out, "{indent}}};")?;
        } else {
            writeln!(out, "{indent}{name}{mark}: {};", in_typescript(inner)?)?;
        }
    }
    Ok(())
}

fn in_typescript(kind: &str) -> Result<&'static str> {
    Ok(match kind {
        "MessageId" | "UserId" | "Epoch" | "Box<str>" => "string",
        "u32" | "u64" | "Seq" | "Attempt" => "number",
        "bool" => "boolean",
        // Written in advance, on a server.
        "Limits" | "L" => "Limits",
        "Box<RawValue>" | "SendAnswer" => "unknown",
        _ => bail!("{SOURCE} has a field of type {kind}: say in xtask what that is in TypeScript"),
    })
}

fn structs_of(source: &str) -> Vec<Frame> {
    let mut structs: Vec<Frame> = Vec::new();
    let mut comment: Vec<&str> = Vec::new();
    let mut renamed = None;
    let mut is_inside = false;
    for line in source.lines().map(str::trim) {
        if let Some(words) = line.strip_prefix("///") {
            comment.push(words.trim());
        } else if line.starts_with("#[") {
            renamed = line.split_once("rename = \"").and_then(|(_, rest)| rest.split('"').next());
        } else {
            let words = comment.join(" ").replace(['[', ']'], "").replace("crate::", "");
            if let Some(name) =
                line.strip_prefix("pub struct ").and_then(|rest| rest.strip_suffix(" {"))
            {
                structs.push(Frame { name: name.to_owned(), comment: words, fields: Vec::new() });
                is_inside = true;
            } else if let (true, Some(frame), Some((name, kind))) = (
                is_inside,
                structs.last_mut(),
                line.strip_prefix("pub ").and_then(|rest| rest.split_once(": ")),
            ) {
                frame.fields.push(Field {
                    name: renamed.unwrap_or(name).to_owned(),
                    comment: words,
                    kind: kind.trim_end_matches(',').to_owned(),
                });
            } else if line == "}" {
                is_inside = false;
            }
            comment.clear();
            renamed = None;
        }
    }
    structs
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_their_names_on_the_wire_and_may_be_missing() {
        let source = "/// `error`: something failed.\n#[derive(Debug)]\npub struct ErrorFrame {\n    \
            /// Which.\n    #[serde(rename = \"ref\", default)]\n    pub reference: Option<MessageId>,\n}\n";
        let structs = structs_of(source);
        let mut out = String::new();
        write_fields(&mut out, &structs[0], &structs, 0).expect("every type is known");
        assert_eq!(out, "/** Which. */\nref?: string;\n");
    }

    #[test]
    fn a_type_that_nobody_has_translated_fails_the_run() {
        let error = in_typescript("HashMap<u8, u8>").expect_err("it is unknown");
        assert!(error.to_string().contains("HashMap<u8, u8>"));
    }
}

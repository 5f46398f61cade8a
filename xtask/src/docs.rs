//! Every snippet in `README.md`, the other Markdown files of the root, `docs/`, and the README of
//! `packages/markdown` is checked.
//!
//! The first word after the fence is the language; what follows it says how the block is treated.
//!
//! | block | what happens |
//! |---|---|
//! | ```` ```rust ```` | a doctest: the file is included by `crates/client/src/doctests.rs` |
//! | ```` ```ts ````, ```` ```tsx ```` | type-checked as a module of an application that has `tetherline`, React and Redux, `@/…` being `apps/chat/web/src/…` |
//! | ```` ```ts continues ```` | the same, in one module with the block before it |
//! | ```` ```tsx test ```` | the same, and Vitest runs the module: under jsdom, with the built package |
//! | ```` ```json ```` | parsed |
//! | ```` ```sh run ```` | run by bash in a folder that the blocks of one document share, with `tetherline` on the PATH; variables live on in the next block |
//! | ```` ```sh run background ```` | the same, left running until the document ends |
//! | ```` ```text output ```` | what the block before it prints on stdout; `…` stands for anything |
//! | ```` ```nginx file PATH ````, or another language of data | the same text as that file, which tests run |
//! | any of these with `no-run` and a reason | left alone: ```` ```sh no-run the end-to-end tests start it ```` |
//! | `text`, `mermaid` and other data | left alone |
//!
//! A backend fails once wherever a snippet asks one. In a `tsx test`, the first upgrade of each fake server and
//! the first request of each `fetch` get an empty 502; what a module without a test hands out that uses `fetch`
//! has to fail with it, and not to take an error page for a token. The first request of each `sh run` block is
//! answered so, too. The block gets over it, or ends with an exit code that says so; then it is run once more.
//!
//! Ports after `127.0.0.1:` or `localhost:` in `sh run` blocks and their outputs are replaced by
//! free ones, the same for the same within a document. `background` blocks are waited for until
//! they have printed their output, so give them one.
//!
//! Where one module of a document is tested, all are: a reader takes what stands beside it for tested.

mod hiccup;
mod shell;
mod typescript;

use std::path::Path;

use anyhow::{Result, bail};

use crate::{
    markdown::{Block, Document, documents},
    prepare,
};

/// Languages whose blocks are nothing to run.
const DATA: [&str; 12] = [
    "text",
    "mermaid",
    "toml",
    "html",
    "css",
    "yaml",
    "http",
    "diff",
    "nginx",
    "ini",
    "sql",
    "dockerfile",
];
const DOCTESTS: &str = "crates/client/src/doctests.rs";
/// A reason that is shorter says nothing.
const REASON_WORDS_MIN: usize = 3;

/// How a block is checked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Treatment<'a> {
    Rust,
    TypeScript(Part),
    Json,
    Shell {
        background: bool,
    },
    /// What the shell block before it prints.
    Output,
    /// What stands in this file, relative to the root.
    File(&'a str),
    None,
    /// Left alone, for this reason.
    Excused(&'a str),
}

/// What a TypeScript block is to its module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Opens,
    Continues,
    /// Continues it with a test, which makes the module one that is run.
    Tests,
}

/// Checks all snippets, building first what they need.
pub(crate) fn run(root: &Path) -> Result<()> {
    let documents = documents(root)?;
    report(&problems(root, &documents))?;
    prepare::tools(root)?;
    prepare::package(root)?;
    prepare::cli(root)?;
    let mut failed: Vec<String> = Vec::new();
    let mut note =
        |result: Result<()>| failed.extend(result.err().map(|error| format!("{error:#}")));
    note(typescript::check(root, &documents));
    for document in &documents {
        note(shell::run(root, document));
    }
    report(&failed)
}

/// What can be said about the blocks without running anything. `tidy` asks for it too.
pub(crate) fn problems(root: &Path, documents: &[Document]) -> Vec<String> {
    let doctests = std::fs::read_to_string(root.join(DOCTESTS)).unwrap_or_default();
    let mut problems = Vec::new();
    for document in documents {
        let Document { path, blocks, .. } = document;
        problems.extend(typescript::untested(document));
        for block in blocks {
            let place = format!("{path}:{}", block.line);
            match treatment(block) {
                Err(problem) => problems.push(format!("{place}: {problem}")),
                Ok(Treatment::Json) => {
                    if let Err(error) = serde_json::from_str::<serde_json::Value>(&block.text) {
                        problems.push(format!("{place}: this is not JSON: {error}"));
                    }
                }
                Ok(Treatment::File(file)) => {
                    let there = std::fs::read_to_string(root.join(file)).unwrap_or_default();
                    if there != block.text {
                        problems.push(format!("{place}: this is not what stands in {file}"));
                    }
                }
                Ok(Treatment::Rust) if !doctests.contains(path.as_str()) => {
                    problems.push(format!(
                        "{place}: Rust in a file that {DOCTESTS} does not include: add it there"
                    ));
                }
                Ok(_) => {}
            }
        }
    }
    problems
}

/// Reads a block's info string.
pub(crate) fn treatment(block: &Block) -> Result<Treatment<'_>> {
    let words: Vec<&str> = block.words().collect();
    let language = block.language();
    if words.first() == Some(&"no-run") {
        let reason = block.info.split_once("no-run").map_or("", |(_, reason)| reason.trim());
        if reason.split_whitespace().count() < REASON_WORDS_MIN {
            bail!("`no-run` is followed by the reason, in a few words");
        }
        return Ok(Treatment::Excused(reason));
    }
    Ok(match (language, words.as_slice()) {
        ("", _) => bail!("say what language the block is in (```text if none)"),
        ("rust", _) => Treatment::Rust,
        ("ts" | "tsx", []) => Treatment::TypeScript(Part::Opens),
        ("ts" | "tsx", ["continues"]) => Treatment::TypeScript(Part::Continues),
        ("ts" | "tsx", ["test"]) => Treatment::TypeScript(Part::Tests),
        ("json", []) => Treatment::Json,
        ("sh", ["run"]) => Treatment::Shell { background: false },
        ("sh", ["run", "background"]) => Treatment::Shell { background: true },
        ("sh", []) => bail!("write ```sh run, or ```sh no-run and why it cannot be run in a test"),
        ("text", ["output"]) => Treatment::Output,
        (data, []) if DATA.contains(&data) => Treatment::None,
        (data, ["file", path]) if DATA.contains(&data) => Treatment::File(path),
        ("bash" | "shell" | "console", _) => {
            bail!("write ```sh, with the output in ```text output")
        }
        ("typescript" | "js" | "javascript" | "jsx", _) => bail!("write ```ts or ```tsx"),
        _ => bail!(
            "`{}` is nothing that xtask/src/docs.rs knows; it lists what there is",
            block.info
        ),
    })
}

/// Fails with all problems at once.
pub(crate) fn report(problems: &[String]) -> Result<()> {
    match problems {
        [] => Ok(()),
        _ => bail!("{}", problems.join("\n")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(info: &str) -> Block {
        Block { line: 1, info: info.to_owned(), text: String::new() }
    }

    #[test]
    fn a_block_that_is_not_run_says_why() {
        assert!(treatment(&block("sh")).is_err());
        assert!(treatment(&block("sh no-run")).is_err());
        assert_eq!(
            treatment(&block("sh no-run it would never end")).unwrap(),
            Treatment::Excused("it would never end")
        );
    }

    #[test]
    fn a_block_has_a_language_that_is_known() {
        assert!(treatment(&block("")).is_err());
        assert!(treatment(&block("cobol")).is_err());
        assert_eq!(treatment(&block("mermaid")).unwrap(), Treatment::None);
        assert_eq!(
            treatment(&block("tsx continues")).unwrap(),
            Treatment::TypeScript(Part::Continues)
        );
        let file = block("nginx file docs/proxies/nginx.conf");
        assert_eq!(treatment(&file).unwrap(), Treatment::File("docs/proxies/nginx.conf"));
        assert_eq!(treatment(&block("tsx test")).unwrap(), Treatment::TypeScript(Part::Tests));
    }
}

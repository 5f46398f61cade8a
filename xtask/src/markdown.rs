//! Just enough Markdown to find links and fenced blocks.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};

use crate::workspace;

/// A Markdown file of the repository.
pub(crate) struct Document {
    /// Relative to the root.
    pub(crate) path: String,
    /// Its fenced blocks, in order.
    pub(crate) blocks: Vec<Block>,
    /// Its inline links outside of blocks.
    pub(crate) links: Vec<Link>,
}

/// One fenced block.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Block {
    /// The line of the opening fence, from 1.
    pub(crate) line: usize,
    /// Everything after the opening fence.
    pub(crate) info: String,
    /// What is inside, each line with its newline.
    pub(crate) text: String,
}

/// Where a link leads.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Link {
    /// The line it is on, from 1.
    pub(crate) line: usize,
    /// What stands between the parentheses.
    pub(crate) target: String,
}

impl Block {
    /// The first word of the info string.
    pub(crate) fn language(&self) -> &str {
        self.info.split([' ', ',']).next().unwrap_or_default()
    }

    /// The words after the language.
    pub(crate) fn words(&self) -> impl Iterator<Item = &str> {
        self.info.split_whitespace().skip(1)
    }
}

/// What somebody reads in the registry, whose snippets are run as well.
const PACKAGE: &str = "packages/markdown/README.md";

/// The documents that people read: the Markdown files of the root and of `docs/`, and a package's own.
pub(crate) fn documents(root: &Path) -> Result<Vec<Document>> {
    workspace::files(root)?
        .into_iter()
        .filter(|path| {
            workspace::is_a(path, &["md"])
                && (path.starts_with("docs/") || !path.contains('/') || path == PACKAGE)
        })
        .map(|path| document(root, &path))
        .collect()
}

/// One Markdown file, wherever it is.
pub(crate) fn document(root: &Path, path: &str) -> Result<Document> {
    let text = fs::read_to_string(root.join(path)).with_context(|| format!("reading {path}"))?;
    let (blocks, links) = parse(&text);
    Ok(Document { path: path.to_owned(), blocks, links })
}

fn parse(text: &str) -> (Vec<Block>, Vec<Link>) {
    let mut blocks = Vec::new();
    let mut links = Vec::new();
    let mut open: Option<(String, usize, Block)> = None;
    for (line, content) in (1..).zip(text.lines()) {
        let (fence, rest) = fence(content);
        match &mut open {
            Some((opening, _, _))
                if rest.is_empty()
                    && fence.len() >= opening.len()
                    && fence.starts_with(&opening[..1]) =>
            {
                blocks.extend(open.take().map(|(_, _, block)| block));
            }
            Some((_, indent, block)) => {
                let spaces = content.len() - content.trim_start_matches(' ').len();
                block.text.push_str(&content[spaces.min(*indent)..]);
                block.text.push('\n');
            }
            None if !fence.is_empty() => {
                let indent = content.len() - content.trim_start_matches(' ').len();
                let block = Block { line, info: rest.to_owned(), text: String::new() };
                open = Some((fence.to_owned(), indent, block));
            }
            None => links.extend(links_in(content).map(|target| Link { line, target })),
        }
    }
    blocks.extend(open.map(|(_, _, block)| block));
    (blocks, links)
}

/// A fence of at least three backticks or tildes, and what follows it.
fn fence(line: &str) -> (&str, &str) {
    let line = line.trim();
    for mark in ['`', '~'] {
        let length = line.len() - line.trim_start_matches(mark).len();
        if length >= 3 {
            let (fence, rest) = line.split_at(length);
            return (fence, rest.trim());
        }
    }
    ("", line)
}

fn links_in(line: &str) -> impl Iterator<Item = String> {
    // Code spans hold no links; what is between two backticks is skipped.
    let outside_code: String = line
        .split('`')
        .enumerate()
        .filter(|(index, _)| index % 2 == 0)
        .map(|(_, part)| part)
        .collect();
    let targets: Vec<String> = outside_code
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split([')', ' ']).next())
        .map(str::to_owned)
        .collect();
    targets.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_and_links_are_found_where_they_are() {
        let text =
            "See [docs](docs/a.md#b) and `[not](this)`.\n\n```sh run\necho [nor](that)\n```\n";
        let (blocks, links) = parse(text);
        assert_eq!(links, [Link { line: 1, target: "docs/a.md#b".to_owned() }]);
        assert_eq!(blocks.len(), 1);
        assert_eq!((blocks[0].line, blocks[0].language()), (3, "sh"));
        assert_eq!(blocks[0].words().collect::<Vec<_>>(), ["run"]);
        assert_eq!(blocks[0].text, "echo [nor](that)\n");
    }

    #[test]
    fn a_block_in_a_list_loses_the_lists_indent() {
        let (blocks, _) = parse("1. first\n   ```json\n   {\n     \"a\": 1\n   }\n   ```\n");
        assert_eq!(blocks[0].text, "{\n  \"a\": 1\n}\n");
    }
}

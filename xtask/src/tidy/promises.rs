//! Whoever reads a promise reads which test holds it, and that test exists.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};

const DOCUMENTS: [&str; 2] = ["docs/delivery.md", "docs/security.md"];
/// Between a file and its test.
const OF: &str = "::";

pub(super) fn problems(root: &Path) -> Result<Vec<String>> {
    let mut missing = Vec::new();
    for document in DOCUMENTS {
        let text = fs::read_to_string(root.join(document))
            .with_context(|| format!("reading {document}"))?;
        missing.extend(named(&text).filter_map(|(file, test)| {
            let source = fs::read_to_string(root.join(file)).unwrap_or_default();
            let there = holds(file, &source, test);
            (!there).then(|| {
                format!("{document} names the test `{test}` of {file}, which is not there")
            })
        }));
    }
    Ok(missing)
}

/// Every `folder/file::test` in backticks.
fn named(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let spans = text.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    spans.filter_map(|span| span.split_once(OF)).filter(|(file, _)| file.contains('/'))
}

fn holds(file: &str, source: &str, test: &str) -> bool {
    if Path::new(file).extension().is_some_and(|extension| extension == "rs") {
        return source.contains(&format!("fn {test}("));
    }
    source.contains(&format!("('{test}'"))
}

#[test]
fn a_test_that_is_not_there_is_noticed() {
    let text = "| it | `a/b.rs::it_holds`, `c/d.ts::it holds` |\n`Client::next` is none of them";
    let found: Vec<_> = named(text).collect();
    assert_eq!(found, [("a/b.rs", "it_holds"), ("c/d.ts", "it holds")]);
    assert!(holds("a/b.rs", "async fn it_holds() {}", "it_holds"));
    assert!(!holds("a/b.rs", "async fn it_holds_no_more() {}", "it_holds"));
    assert!(holds("c/d.ts", "test('it holds', async", "it holds"));
}

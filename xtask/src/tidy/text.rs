use std::path::Path;

use super::Source;
use crate::{markdown::Document, workspace::is_a};

/// A file that is longer does more than one thing. Rust files count up to their unit tests.
const LINES_MAX: usize = 400;

/// Files that may be longer, each with its reason.
const LONGER: [(&str, &str); 0] = [];

/// Words that promise work instead of doing it. Written apart, so that this file keeps its rule.
const PROMISES: [&str; 4] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("to", "do!("),
    concat!("unimple", "mented!("),
];

const CODE: [&str; 8] = ["rs", "ts", "tsx", "mjs", "js", "css", "md", "toml"];

pub(super) fn problems(root: &Path, sources: &[Source]) -> Vec<String> {
    let machine = machine_paths(root);
    sources.iter().flat_map(|source| problems_of(source, &machine)).collect()
}

fn problems_of(source: &Source, machine: &[String]) -> Vec<String> {
    let Source { path, text } = source;
    let mut problems = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if let Some(found) = machine.iter().find(|found| line.contains(found.as_str())) {
            problems.push(format!("{path}:{number}: `{found}…` exists on one machine only"));
        }
        if is_a(path, &CODE)
            && let Some(promise) = PROMISES.iter().find(|promise| has_word(line, promise))
        {
            problems
                .push(format!("{path}:{number}: `{promise}`: do it, or open an issue and name it"));
        }
    }
    problems.extend(too_long(source));
    problems
}

/// Paths that name somebody's machine: this checkout, and home folders.
fn machine_paths(root: &Path) -> Vec<String> {
    let mut paths = vec![concat!("/ho", "me/").to_owned(), concat!("/Us", "ers/").to_owned()];
    paths.push(format!("{}/", root.display()));
    if let Some(home) = std::env::var("HOME").ok().filter(|home| home.len() > 1) {
        paths.push(format!("{home}/"));
    }
    paths
}

fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        let after = line[start + word.len()..].chars().next();
        let letter = |neighbour: Option<char>| neighbour.is_some_and(char::is_alphanumeric);
        !letter(before) && (word.ends_with('(') || !letter(after))
    })
}

fn too_long(Source { path, text }: &Source) -> Option<String> {
    let lines = if is_a(path, &["rs"]) {
        text.lines().take_while(|line| line.trim() != "#[cfg(test)]").count()
    } else if is_a(path, &["ts", "tsx"]) {
        text.lines().count()
    } else {
        return None;
    };
    let is_test = path.starts_with("crates/store-conformance/")
        || path.contains("/tests/")
        || path.contains(".test.")
        || path.contains("/e2e/");
    let excused = LONGER.iter().any(|(longer, _)| longer == path) || path.contains("/generated/");
    (lines > LINES_MAX && !is_test && !excused).then(|| {
        format!(
            "{path} has {lines} lines, {LINES_MAX} are allowed: split it, or give the reason in \
             xtask/src/tidy/text.rs"
        )
    })
}

/// Relative links that lead nowhere.
pub(super) fn broken_links(root: &Path, documents: &[Document]) -> Vec<String> {
    let mut problems = Vec::new();
    for document in documents {
        let folder = Path::new(&document.path).parent().unwrap_or(Path::new(""));
        for link in &document.links {
            let file = link.target.split('#').next().unwrap_or_default();
            if file.is_empty() || file.contains("://") || file.starts_with("mailto:") {
                continue;
            }
            if !root.join(folder).join(file).exists() {
                problems.push(format!(
                    "{}:{}: the link to `{}` leads nowhere",
                    document.path, link.line, link.target
                ));
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source { path: path.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn a_promise_is_found_as_a_word() {
        let promise = PROMISES[0];
        assert_eq!(problems_of(&source("a.rs", &format!("// {promise}: later")), &[]).len(), 1);
        assert!(problems_of(&source("a.rs", &format!("let MAS{promise}N = 1;")), &[]).is_empty());
        assert_eq!(problems_of(&source("a.rs", &format!("    {})", PROMISES[2])), &[]).len(), 1);
    }

    #[test]
    fn a_long_file_is_found_but_its_unit_tests_do_not_count() {
        let code = "fn line() {}\n".repeat(LINES_MAX);
        assert!(
            problems_of(&source("a.rs", &format!("{code}#[cfg(test)]\nmod tests {{}}\n")), &[])
                .is_empty()
        );
        assert_eq!(problems_of(&source("a.rs", &format!("{code}fn more() {{}}\n")), &[]).len(), 1);
    }

    #[test]
    fn somebodys_home_is_no_place_for_anybody_else() {
        let machine = machine_paths(Path::new("/checkout"));
        assert_eq!(problems_of(&source("a.md", "see /checkout/docs"), &machine).len(), 1);
    }
}

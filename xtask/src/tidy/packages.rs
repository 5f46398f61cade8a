use super::Source;
use crate::workspace::is_a;

/// A room of the npm package, and what its files may not import.
struct Room {
    folder: &'static str,
    forbidden: &'static [&'static str],
    why: &'static str,
}

/// The first room whose folder fits is a file's own.
const ROOMS: [Room; 7] = [
    Room {
        folder: "packages/tetherline/src/react/",
        forbidden: &["redux/", "testing/", "@reduxjs/", "react-redux", "redux"],
        why: "the React binding knows nothing of Redux: somebody may use one without the other",
    },
    Room {
        folder: "packages/tetherline/src/redux/",
        forbidden: &["react/", "testing/", "react", "react-dom", "react-redux"],
        why: "the Redux binding knows nothing of React: somebody may use one without the other",
    },
    Room {
        folder: "packages/tetherline/src/testing/",
        forbidden: &["redux/", "@reduxjs/", "react-redux", "redux"],
        why: "the testing helpers serve every binding, Redux or not",
    },
    Room {
        folder: "packages/tetherline/src/inspector/",
        forbidden: &["redux/", "testing/", "@reduxjs/", "react-redux", "redux"],
        why: "the inspector is a React panel: somebody may use it without Redux",
    },
    Room {
        folder: "packages/tetherline/src/",
        forbidden: &[
            "react/",
            "redux/",
            "testing/",
            "react",
            "react-dom",
            "react-redux",
            "redux",
            "@reduxjs/",
        ],
        why: "the core knows no framework",
    },
    Room {
        folder: "packages/markdown/src/",
        forbidden: &["react", "react-dom", "redux", "@reduxjs/", "tetherline"],
        why: "whoever renders Markdown may do it with anything, and without Tetherline",
    },
    Room {
        folder: "apps/chat/web/src/",
        forbidden: &["packages/tetherline/", "tetherline/src", "tetherline/dist"],
        why: "an application uses the package by its entries, as everybody else does",
    },
];

const SQLITE: &str = "rusqlite";
/// The only places that know `SQLite`: one store of the server, and the chat, which is an
/// application with a database of its own; the tests in which another program uses or damages the file; and what one
/// would write instead of the server, to compare with.
const SQLITE_ROOMS: [&str; 5] = [
    "crates/server/src/store/sqlite",
    "crates/server/tests/store",
    "apps/chat/server/",
    "crates/server-bench/",
    "crates/cli/tests/cli/damage.rs",
];

pub(super) fn problems(sources: &[Source]) -> Vec<String> {
    sources.iter().flat_map(|source| imports(source).into_iter().chain(sqlite(source))).collect()
}

fn imports(source: &Source) -> Vec<String> {
    let script = is_a(&source.path, &["ts", "tsx"]);
    let is_test = source.path.contains(".test.");
    let Some(room) = ROOMS.iter().find(|room| source.path.starts_with(room.folder)) else {
        return Vec::new();
    };
    if !script || is_test {
        return Vec::new();
    }
    imported(&source.text)
        .filter(|specifier| room.forbidden.iter().any(|forbidden| names(specifier, forbidden)))
        .map(|specifier| format!("{} imports '{specifier}': {}", source.path, room.why))
        .collect()
}

/// What stands in quotes after `from`, or after `import` alone.
fn imported(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let (_, rest) = line
            .rsplit_once(" from ")
            .or_else(|| line.split_once("import("))
            .or_else(|| line.split_once("import "))?;
        let quote = rest.trim_start().chars().next().filter(|quote| matches!(quote, '\'' | '"'))?;
        rest.trim_start()[1..].split(quote).next()
    })
}

/// Whether a specifier leads to a package of this name (`react`, `react/jsx-runtime`), or, if the
/// name ends in a slash, into a folder of this name (`../react/context`).
fn names(specifier: &str, forbidden: &str) -> bool {
    if let Some(folder) = forbidden.strip_suffix('/').filter(|folder| !folder.starts_with('@')) {
        return specifier.starts_with('.') && specifier.contains(&format!("/{folder}/"))
            || specifier.contains(forbidden) && folder.contains('/');
    }
    specifier == forbidden
        || specifier
            .strip_prefix(forbidden)
            .is_some_and(|rest| rest.starts_with('/') || forbidden.ends_with('/'))
}

fn sqlite(source: &Source) -> Option<String> {
    let rust = is_a(&source.path, &["rs"]) && !source.path.starts_with("xtask/");
    let allowed = SQLITE_ROOMS.iter().any(|room| source.path.starts_with(room));
    let named = source.text.contains(&format!("{SQLITE}::"));
    (rust && named && !allowed)
        .then(|| format!("{} names {SQLITE}: only {} may", source.path, SQLITE_ROOMS.join(" and ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source { path: path.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn the_core_imports_no_framework() {
        let path = "packages/tetherline/src/core/client.ts";
        assert_eq!(problems(&[source(path, "import { useState } from 'react';")]).len(), 1);
        assert_eq!(problems(&[source(path, "} from '../react/context.js';")]).len(), 1);
        assert!(problems(&[source(path, "import { a } from './reactions.js';")]).is_empty());
    }

    #[test]
    fn react_and_redux_do_not_import_each_other() {
        let react =
            source("packages/tetherline/src/react/index.ts", "export * from '../redux/index.js';");
        let redux = source("packages/tetherline/src/redux/index.ts", "import 'react';");
        let fine = source("packages/tetherline/src/react/hook.ts", "import { x } from 'react';");
        assert_eq!(problems(&[react, redux, fine]).len(), 2);
    }

    #[test]
    fn only_the_stores_name_the_database() {
        let text = format!("use {SQLITE}::Connection;");
        assert!(problems(&[source("crates/server/src/store/sqlite/writer.rs", &text)]).is_empty());
        assert_eq!(problems(&[source("crates/server/src/connection/hub.rs", &text)]).len(), 1);
    }
}

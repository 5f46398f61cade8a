use std::{fs, path::Path};

use anyhow::{Context as _, Result};

use super::{Part, Treatment, treatment};
use crate::{markdown::Document, progress::step, workspace::run};

/// Below the root whatever cargo's target folder is, so that `node_modules` is found above it.
const FOLDER: &str = "target/xtask/docs-typescript";

/// The snippets are checked as parts of the reference chat, with its `@/` and its types, and as
/// strictly; but an example may show what it does not use.
const CONFIGURATION: &str = r#"{
  "extends": "../../../tsconfig.base.json",
  "compilerOptions": {
    "noEmit": true,
    "noUnusedLocals": false,
    "noUnusedParameters": false,
    "verbatimModuleSyntax": false,
    "module": "ESNext",
    "moduleResolution": "bundler",
    "moduleDetection": "force",
    "jsx": "react-jsx",
    "types": ["vite/client", "node"],
    "paths": { "@/*": ["../../../apps/chat/web/src/*"] }
  },
  "include": ["*.ts", "*.tsx", "../../../apps/chat/web/src/types/react-redux.d.ts"]
}
"#;

/// Like an application's own: nothing is mocked, and the package is what was built.
const TESTS: &str = r"export default {
  test: {
    include: ['*.test.tsx', '*.hiccup.test.js'],
    setupFiles: ['./hiccup.setup.js'],
    environment: 'jsdom',
    // Testing Library takes down by itself what a test has rendered.
    globals: true,
    testTimeout: 15_000,
  },
  resolve: { alias: { '@': new URL('../../../apps/chat/web/src', import.meta.url).pathname } },
};
";

/// The first request of each test fails.
const SETUP: &str = include_str!("hiccup.setup.js");

/// The test of a module that has none and asks a backend.
const HICCUP: &str = include_str!("hiccup.test.js");

/// One module: a block, and those that continue it.
struct Module {
    /// The document, and the line where it begins.
    place: String,
    text: String,
    is_tested: bool,
}

impl Module {
    fn file_name(&self) -> String {
        let suffix = if self.is_tested { ".test.tsx" } else { ".tsx" };
        format!("{}{suffix}", self.name())
    }

    fn name(&self) -> String {
        self.place.replace('/', "-").replace(':', "-line-")
    }

    /// Whether it asks a backend, and no test sees what it makes of a failure.
    fn is_probed(&self) -> bool {
        !self.is_tested && self.text.contains("fetch(")
    }
}

/// Type-checks the TypeScript blocks, each a module named after its place, and runs those with tests.
pub(super) fn check(root: &Path, documents: &[Document]) -> Result<()> {
    let folder = root.join(FOLDER);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {FOLDER}"))?;
    let modules = modules(documents)?;
    if modules.is_empty() {
        return Ok(());
    }
    for module in &modules {
        let name = module.file_name();
        fs::write(folder.join(&name), &module.text)
            .with_context(|| format!("cannot write {name}"))?;
        if module.is_probed() {
            let test = HICCUP.replace("MODULE", &format!("./{name}"));
            fs::write(folder.join(format!("{}.hiccup.test.js", module.name())), test)?;
        }
    }
    fs::write(folder.join("tsconfig.json"), CONFIGURATION)?;
    step("types of the TypeScript in the documents", || {
        run(root, "npx", &["--no-install", "tsc", "--project", FOLDER])
    })?;
    if !modules.iter().any(|module| module.is_tested || module.is_probed()) {
        return Ok(());
    }
    fs::write(folder.join("hiccup.setup.js"), SETUP)?;
    fs::write(folder.join("vitest.config.mjs"), TESTS)?;
    step("tests of the TypeScript in the documents", || {
        run(root, "npx", &["--no-install", "vitest", "run", "--root", FOLDER])
    })
}

/// Modules without a test in a document where others have one.
pub(super) fn untested(document: &Document) -> Vec<String> {
    // What is wrong with a block is said elsewhere.
    let modules = modules(std::slice::from_ref(document)).unwrap_or_default();
    if modules.iter().all(|module| !module.is_tested) {
        return Vec::new();
    }
    let untested = modules.iter().filter(|module| !module.is_tested);
    untested
        .map(|module| format!("{}: others here are tested: add a ```tsx test block", module.place))
        .collect()
}

fn modules(documents: &[Document]) -> Result<Vec<Module>> {
    let mut modules: Vec<Module> = Vec::new();
    for document in documents {
        let mut first = true;
        for block in &document.blocks {
            let Treatment::TypeScript(part) = treatment(block)? else { continue };
            let place = format!("{}:{}", document.path, block.line);
            if part == Part::Opens {
                // Blank lines in front make the compiler's line numbers those of the document.
                let text = "\n".repeat(block.line) + &block.text;
                modules.push(Module { place, text, is_tested: false });
            } else {
                let module = modules.last_mut().filter(|_| !first);
                let module = module.with_context(|| format!("{place} continues no module"))?;
                let written = module.text.matches('\n').count();
                module.text.push_str(&"\n".repeat(block.line.saturating_sub(written)));
                module.text.push_str(&block.text);
                module.is_tested |= part == Part::Tests;
            }
            first = false;
        }
    }
    Ok(modules)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::markdown::Block;

    fn document(blocks: &[(usize, &str, &str)]) -> Document {
        let block = |&(line, info, text): &(usize, &str, &str)| Block {
            line,
            info: info.to_owned(),
            text: text.to_owned(),
        };
        Document {
            path: "docs/a.md".to_owned(),
            blocks: blocks.iter().map(block).collect(),
            links: Vec::new(),
        }
    }

    #[test]
    fn a_block_keeps_its_line_number_and_continues_the_one_before() {
        let document = document(&[(2, "ts", "one();\n"), (6, "ts continues", "two();\n")]);
        let modules = modules(&[document]).unwrap();
        assert_eq!(modules.len(), 1);
        assert_eq!(modules[0].file_name(), "docs-a.md-line-2.tsx");
        let lines: Vec<&str> = modules[0].text.lines().collect();
        assert_eq!((lines[2], lines[6]), ("one();", "two();"));
    }

    #[test]
    fn a_module_with_a_test_is_run_and_one_without_stands_out() {
        let tested = [(2, "tsx", "one();\n"), (6, "tsx test", "test();\n")];
        let modules = modules(&[document(&tested)]).unwrap();
        assert_eq!(modules[0].file_name(), "docs-a.md-line-2.test.tsx");
        assert!(untested(&document(&tested)).is_empty());
        let [one, test] = tested;
        let problems = untested(&document(&[one, test, (9, "ts", "two();\n")]));
        assert_eq!(problems.len(), 1);
        assert!(problems[0].starts_with("docs/a.md:9: "));
    }

    #[test]
    fn a_first_block_continues_nothing() {
        assert!(modules(&[document(&[(2, "tsx test", "test();\n")])]).is_err());
    }
}

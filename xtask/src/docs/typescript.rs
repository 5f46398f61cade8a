use std::{fs, path::Path};

use anyhow::{Context as _, Result};

use super::{Treatment, treatment};
use crate::{markdown::Document, progress::step, workspace::run};

/// Below the root whatever cargo's target folder is, so that `node_modules` is found above it.
const FOLDER: &str = "target/xtask/docs-typescript";

/// The snippets are checked as parts of the reference chat: with its `@/` and its types. Parameters
/// need no annotation, as in an application that is not strict about them.
const CONFIGURATION: &str = r#"{
  "extends": "../../../tsconfig.base.json",
  "compilerOptions": {
    "noEmit": true,
    "noImplicitAny": false,
    "noUnusedLocals": false,
    "noUnusedParameters": false,
    "verbatimModuleSyntax": false,
    "module": "ESNext",
    "moduleResolution": "bundler",
    "moduleDetection": "force",
    "jsx": "react-jsx",
    "types": ["vite/client"],
    "paths": { "@/*": ["../../../apps/chat/web/src/*"] }
  },
  "include": ["*.ts", "*.tsx", "../../../apps/chat/web/src/types/*.d.ts"]
}
"#;

/// Type-checks the TypeScript blocks, each a module named after its place.
pub(super) fn check(root: &Path, documents: &[Document]) -> Result<()> {
    let folder = root.join(FOLDER);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {FOLDER}"))?;
    let modules = modules(documents)?;
    if modules.is_empty() {
        return Ok(());
    }
    for (name, text) in modules {
        fs::write(folder.join(&name), text).with_context(|| format!("cannot write {name}"))?;
    }
    fs::write(folder.join("tsconfig.json"), CONFIGURATION)?;
    step("types of the TypeScript in the documents", || {
        run(root, "npx", &["--no-install", "tsc", "--project", FOLDER])
    })
}

fn modules(documents: &[Document]) -> Result<Vec<(String, String)>> {
    let mut modules: Vec<(String, String)> = Vec::new();
    for document in documents {
        let mut first = true;
        for block in &document.blocks {
            let Treatment::TypeScript { continues } = treatment(block)? else { continue };
            // Blank lines in front make the compiler's line numbers those of the document.
            if let Some((_, text)) = modules.last_mut().filter(|_| continues && !first) {
                let written = text.matches('\n').count();
                text.push_str(&"\n".repeat(block.line.saturating_sub(written)));
                text.push_str(&block.text);
            } else {
                let name = format!("{}-line-{}.tsx", document.path.replace('/', "-"), block.line);
                modules.push((name, "\n".repeat(block.line) + &block.text));
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

    #[test]
    fn a_block_keeps_its_line_number_and_continues_the_one_before() {
        let block = |line, info: &str, text: &str| Block {
            line,
            info: info.to_owned(),
            text: text.to_owned(),
        };
        let document = Document {
            path: "docs/a.md".to_owned(),
            blocks: vec![block(2, "ts", "one();\n"), block(6, "ts continues", "two();\n")],
            links: Vec::new(),
        };
        let modules = modules(&[document]).unwrap();
        assert_eq!(modules.len(), 1);
        assert_eq!(modules[0].0, "docs-a.md-line-2.tsx");
        let lines: Vec<&str> = modules[0].1.lines().collect();
        assert_eq!((lines[2], lines[6]), ("one();", "two();"));
    }
}

//! The examples: installed from the packed package as anybody would, built, started as their READMEs
//! say, and driven in a real browser.

use std::{
    fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context as _, Result, bail};

use crate::{
    browser,
    fingerprint::Product,
    markdown, prepare,
    progress::quiet_step,
    runner,
    side_by_side::side_by_side,
    workspace::{self, binary, build},
};

struct Example {
    /// The folder that it is installed and built in.
    name: &'static str,
    /// Its sources, below the root.
    source: &'static str,
    /// What is there when it is built.
    output: &'static str,
    /// What is installed besides.
    also: &'static str,
}

const EXAMPLES: [Example; 3] = [
    Example { name: "vite", source: "examples/vite", output: "dist/index.html", also: "" },
    Example {
        name: "vite-react-18",
        source: "examples/vite",
        output: "dist/index.html",
        also: " react@18 react-dom@18 @types/react@18 @types/react-dom@18",
    },
    Example { name: "next", source: "examples/next", output: ".next/BUILD_ID", also: "" },
];
const PACKED: &str = ".tgz";
const STORY: &str = "examples/e2e";

/// Builds what has changed, then runs `examples/e2e` against all of it.
pub(crate) fn run(root: &Path) -> Result<()> {
    let browser = browser::chromium(root)?;
    prepare::tools(root)?;
    prepare::package(root)?;
    prepare::cli(root)?;
    let folder = folder(root);
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    pack(root, &folder)?;
    let prepared = side_by_side(&EXAMPLES, |example| example.prepare(root, &folder));
    prepared.into_iter().collect::<Result<()>>()?;
    let mut playwright = workspace::command(root, "npx");
    playwright
        .args(["--no-install", "playwright", "test", "--config", STORY])
        .env("CHROMIUM", browser)
        .env("NEXT_TELEMETRY_DISABLED", "1")
        .env("TETHERLINE_BIN", binary(root, "tetherline", false))
        .env("TETHERLINE_EXAMPLES", folder);
    runner::run(playwright)
}

/// Away from the checkout, whose `node_modules` would otherwise stand in for what an example's
/// `package.json` forgets; and not in the folder for temporary files, which loses some of them.
fn folder(root: &Path) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    root.hash(&mut hasher);
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
    std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(home)
        .unwrap_or_else(std::env::temp_dir)
        .join("tetherline")
        .join(format!("examples-{:016x}", hasher.finish()))
}

fn pack(root: &Path, folder: &Path) -> Result<()> {
    let to = folder.to_str().context("the cache folder's name is not UTF-8")?;
    build(root, "npm", &["pack", "--silent", "-w", "tetherline", "--pack-destination", to])
}

impl Example {
    fn prepare(&self, root: &Path, folder: &Path) -> Result<()> {
        let folder = folder.join(self.name);
        let output = folder.join(self.output);
        let name = format!("example {}", self.name);
        Product {
            name: &name,
            inputs: &[&[self.source][..], &prepare::PACKAGE_INPUTS].concat(),
            outputs: &[output.to_str().context("the cache folder's name is not UTF-8")?],
        }
        .build(root, || {
            quiet_step(&name, || {
                self.copy(root, &folder)?;
                self.install(root, &folder)
            })
        })
    }

    fn copy(&self, root: &Path, folder: &Path) -> Result<()> {
        let _ = fs::remove_dir_all(folder);
        for path in workspace::files(root)? {
            let Ok(inside) = Path::new(&path).strip_prefix(self.source) else { continue };
            let to = folder.join(inside);
            fs::create_dir_all(to.parent().unwrap_or(folder))?;
            fs::copy(root.join(&path), &to).with_context(|| format!("copying {path}"))?;
        }
        Ok(())
    }

    /// By the very commands of its README.
    fn install(&self, root: &Path, folder: &Path) -> Result<()> {
        let readme = markdown::document(root, &format!("{}/README.md", self.source))?;
        let block = readme.blocks.iter().find(|block| block.info == "sh run");
        let commands = &block.with_context(|| format!("{} has no ```sh run", readme.path))?.text;
        if !commands.contains(PACKED) {
            bail!("{} installs no packed package", readme.path);
        }
        let commands = commands.replace(PACKED, &format!("{PACKED}{}", self.also));
        let status = workspace::command(root, "bash")
            .args(["-euo", "pipefail", "-c", &commands])
            .current_dir(folder)
            .env("NEXT_TELEMETRY_DISABLED", "1")
            // What was downloaded once is taken as it is.
            .env("npm_config_prefer_offline", "true")
            .stdin(Stdio::null())
            .stdout(std::io::stderr())
            .status()
            .context("cannot start `bash`")?;
        if !status.success() {
            bail!("the commands of {} failed ({status}); their own words are above", readme.path);
        }
        Ok(())
    }
}

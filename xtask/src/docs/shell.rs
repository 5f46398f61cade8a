use std::{
    collections::BTreeMap,
    fs::{self, File},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use super::{Treatment, hiccup::Front, treatment};
use crate::{
    markdown::{Block, Document},
    progress::step,
    workspace,
};

/// How long a block may take, or a background block until it has printed its output.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL_EVERY: Duration = Duration::from_millis(20);
/// What every block starts with: the variables of the blocks before it, and its own exported.
const PRELUDE: &str = "set -euo pipefail; [ -f .environment ] && . ./.environment; set -a\n";
const EPILOGUE: &str = "\nset +a; export -p > .environment\n";

/// Runs the shell blocks of one document, in order.
pub(super) fn run(root: &Path, document: &Document) -> Result<()> {
    let mut session = None;
    let mut blocks = document.blocks.iter().peekable();
    while let Some(block) = blocks.next() {
        let Treatment::Shell { background } = treatment(block)? else { continue };
        let output = blocks.next_if(|next| matches!(treatment(next), Ok(Treatment::Output)));
        if session.is_none() {
            session = Some(Session::open(root, document)?);
        }
        let Some(session) = &mut session else { continue };
        let place = format!("{}:{}", document.path, block.line);
        step(&place, || session.run(block, output, background))?;
    }
    Ok(())
}

/// One document's folder, ports and background processes.
struct Session {
    folder: PathBuf,
    path: std::ffi::OsString,
    ports: BTreeMap<String, Port>,
    background: Vec<Child>,
    count: usize,
}

/// What a document's port stands for.
struct Port {
    /// Where its server listens.
    real: u16,
    /// Where everybody else asks.
    front: Front,
}

impl Session {
    fn open(root: &Path, document: &Document) -> Result<Self> {
        let name = document.path.replace('/', "-");
        let folder = workspace::target(root).join("xtask/docs-shell").join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        let built = workspace::binary(root, "tetherline", false);
        let before = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(
            built.parent().map(Path::to_path_buf).into_iter().chain(std::env::split_paths(&before)),
        )?;
        Ok(Self { folder, path, ports: BTreeMap::new(), background: Vec::new(), count: 0 })
    }

    fn run(&mut self, block: &Block, output: Option<&Block>, background: bool) -> Result<()> {
        let script = self.with_free_ports(&block.text)?;
        let expected = match output {
            Some(output) => Some(self.with_free_ports(&output.text)?),
            None => None,
        };
        for port in self.ports.values() {
            port.front.fail_once();
        }
        let ended = self.run_once(&script, expected.as_deref(), background);
        let failed = self.ports.values().filter(|port| port.front.relent()).count();
        match ended {
            // It said so, as a person sees who then tries again.
            Ok(Ended::Failed(_)) if failed > 0 => {
                self.run_once(&script, expected.as_deref(), background)?.well()
            }
            Err(error) if failed > 0 => {
                Err(error.context("its first request was answered with an empty 502"))
            }
            ended => ended?.well(),
        }
    }

    fn run_once(
        &mut self,
        script: &str,
        expected: Option<&str>,
        background: bool,
    ) -> Result<Ended> {
        self.count += 1;
        let printed = self.folder.join(format!(".printed-{}", self.count));
        let epilogue = if background { "" } else { EPILOGUE };
        let mut bash = Command::new("bash");
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut bash, 0);
        let mut child = bash
            .arg("-c")
            .arg(format!("{PRELUDE}{script}{epilogue}"))
            .current_dir(&self.folder)
            .env("PATH", &self.path)
            .stdin(Stdio::null())
            .stdout(File::create(&printed)?)
            .spawn()
            .context("cannot start bash")?;
        let printed = || {
            let text = fs::read_to_string(&printed)?;
            Ok(self.ports.values().fold(text, |text, Port { real, front }| {
                text.replace(&format!(":{real}"), &format!(":{}", front.port))
            }))
        };
        let result = if background {
            wait_for_output(&mut child, printed, expected).map(|()| Ended::Well)
        } else {
            wait_for_end(&mut child, printed, expected)
        };
        self.background.push(child);
        result
    }

    fn with_free_ports(&mut self, text: &str) -> Result<String> {
        let mut replaced = String::new();
        let mut rest = text;
        while let Some(end_of_host) = next_host(rest) {
            let (before, after) = rest.split_at(end_of_host);
            let digits = after.len() - after.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let (port, after) = after.split_at(digits);
            replaced.push_str(before);
            if matches!(port, "" | "0") {
                replaced.push_str(port);
            } else {
                if !self.ports.contains_key(port) {
                    let real = free_port()?;
                    let front = Front::open(real)?;
                    self.ports.insert(port.to_owned(), Port { real, front });
                }
                let Port { real, front } = &self.ports[port];
                let listens = before.ends_with("listen 127.0.0.1:");
                replaced.push_str(&if listens { *real } else { front.port }.to_string());
            }
            rest = after;
        }
        replaced.push_str(rest);
        Ok(replaced)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        for child in &mut self.background {
            // The whole group: bash passes nothing on to what it started.
            let _ = Command::new("kill")
                .args(["-TERM", "--", &format!("-{}", child.id())])
                .stderr(Stdio::null())
                .status();
            let _ = child.wait();
        }
    }
}

fn next_host(text: &str) -> Option<usize> {
    ["127.0.0.1:", "localhost:"]
        .into_iter()
        .filter_map(|host| text.find(host).map(|start| start + host.len()))
        .min()
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("no free port")?;
    Ok(listener.local_addr()?.port())
}

/// How a block came to its end, when what it printed was not wrong.
enum Ended {
    Well,
    /// With an exit code that says so.
    Failed(String),
}

impl Ended {
    fn well(self) -> Result<()> {
        match self {
            Self::Well => Ok(()),
            Self::Failed(how) => bail!(how),
        }
    }
}

fn wait_for_end(
    child: &mut Child,
    printed: impl Fn() -> Result<String>,
    expected: Option<&str>,
) -> Result<Ended> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait()? {
            let printed = printed()?;
            if !status.success() {
                return Ok(Ended::Failed(format!(
                    "it ended with {status}, having printed:\n{printed}"
                )));
            }
            if let Some(expected) = expected.filter(|expected| !matches(expected, &printed)) {
                bail!("expected:\n{expected}\nprinted:\n{printed}");
            }
            return Ok(Ended::Well);
        }
        thread::sleep(POLL_EVERY);
    }
    bail!("it did not end within {} s; is it ```sh run background?", PATIENCE.as_secs())
}

fn wait_for_output(
    child: &mut Child,
    printed: impl Fn() -> Result<String>,
    expected: Option<&str>,
) -> Result<()> {
    let expected = expected.context(
        "a background block is followed by ```text output, so that one knows when it is ready",
    )?;
    let deadline = Instant::now() + PATIENCE;
    let mut so_far = String::new();
    while Instant::now() < deadline {
        so_far = printed()?;
        if matches(expected, &so_far) {
            return Ok(());
        }
        if let Some(status) = child.try_wait()? {
            bail!("it ended with {status} instead of staying, having printed:\n{so_far}");
        }
        thread::sleep(POLL_EVERY);
    }
    bail!("expected within {} s:\n{expected}\nprinted:\n{so_far}", PATIENCE.as_secs())
}

/// Whether `printed` is `expected` line by line, `…` standing for any text within a line.
fn matches(expected: &str, printed: &str) -> bool {
    let expected: Vec<&str> = expected.trim_end().lines().collect();
    let printed: Vec<&str> = printed.trim_end().lines().collect();
    expected.len() == printed.len()
        && expected.iter().zip(&printed).all(|(e, p)| line_matches(e, p))
}

fn line_matches(expected: &str, printed: &str) -> bool {
    let (expected, printed) = (expected.trim_end(), printed.trim_end());
    let Some((head, rest)) = expected.split_once('…') else { return expected == printed };
    let Some(mut left) = printed.strip_prefix(head) else { return false };
    let mut parts = rest.split('…').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return left.ends_with(part);
        }
        let Some(found) = left.find(part) else { return false };
        left = &left[found + part.len()..];
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ellipsis_stands_for_anything_within_a_line() {
        assert!(line_matches(r#"{"id":"…","seq":1}"#, r#"{"id":"abc","seq":1}"#));
        assert!(!line_matches(r#"{"id":"…","seq":1}"#, r#"{"id":"abc","seq":2}"#));
        assert!(line_matches("a … c … e", "a b c d e"));
        assert!(!line_matches("a … c … e", "a b d e"));
        assert!(!matches("one\n", "one\ntwo\n"));
    }

    #[test]
    fn a_documents_port_becomes_the_same_free_ones_everywhere() {
        let mut session = Session {
            folder: PathBuf::new(),
            path: std::ffi::OsString::new(),
            ports: BTreeMap::new(),
            background: Vec::new(),
            count: 0,
        };
        let text = "serve --listen 127.0.0.1:8090; curl http://localhost:8090/v1; bind 127.0.0.1:0";
        let replaced = session.with_free_ports(text).unwrap();
        let Port { real, front: Front { port, .. } } = &session.ports["8090"];
        let expected = format!(
            "serve --listen 127.0.0.1:{real}; curl http://localhost:{port}/v1; bind 127.0.0.1:0"
        );
        assert_eq!(replaced, expected);
    }
}

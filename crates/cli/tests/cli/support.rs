//! Starting, asking and ending the binary.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::room::with_file_bytes;

/// Far more than anything here takes; a test that waits this long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn tetherline(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tetherline"));
    // People read what a test says that fails.
    command.args(arguments).env("RUST_LOG", "warn").env("TETHERLINE_LOG_FORMAT", "text");
    command.stdin(Stdio::null());
    command
}

pub(crate) fn run(arguments: &[&str]) -> Output {
    tetherline(arguments).output().unwrap()
}

/// The same with something on its stdin.
pub(crate) fn run_with_input(arguments: &[&str], input: &str) -> Output {
    let mut child = tetherline(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// What a command that must fail says, on one line.
pub(crate) fn complaint(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(!output.status.success(), "{arguments:?} succeeded");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{arguments:?}");
    String::from_utf8(output.stderr).unwrap().trim_end().to_owned()
}

/// A process whose lines on stdout can be waited for, ended when it is dropped.
pub(crate) struct Process {
    child: Child,
    lines: Receiver<String>,
}

impl Process {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::spawn(tetherline(arguments))
    }

    pub(crate) fn spawn(command: Command) -> Self {
        Self::spawn_logging(command, Stdio::null())
    }

    pub(crate) fn spawn_logging(mut command: Command, log: impl Into<Stdio>) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        thread::spawn(move || {
            stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Self { child, lines }
    }

    pub(crate) fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("a line on stdout")
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next line, unless it ends without one.
    pub(crate) fn line_if_any(&self) -> Option<String> {
        self.lines.recv_timeout(PATIENCE).ok()
    }

    /// Asks it to read its settings anew.
    pub(crate) fn hang_up(&self) {
        let id = self.id().to_string();
        assert!(Command::new("kill").args(["-HUP", &id]).status().unwrap().success());
    }

    pub(crate) fn ask_to_end(&self) {
        let asked = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(asked.success());
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn terminate(mut self) -> bool {
        self.ask_to_end();
        self.child.wait().unwrap().success()
    }

    /// Waits until it has ended by itself.
    pub(crate) fn ended(mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "it does not end");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server on a data folder of its own.
pub(crate) struct Server {
    process: Option<Process>,
    pub(crate) url: String,
    folder: TempDir,
    more: Vec<String>,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    pub(crate) fn start_with(more: &[&str]) -> Self {
        Self::start_on(tempfile::tempdir().unwrap(), more)
    }

    /// On a data folder that is there.
    pub(crate) fn start_on(folder: TempDir, more: &[&str]) -> Self {
        Self::start_in(&[], folder, more)
    }

    /// Writes all that it can log to a file.
    pub(crate) fn start_logging(log: &Path) -> Self {
        Self::start_logging_on(tempfile::tempdir().unwrap(), log, &[])
    }

    pub(crate) fn start_logging_on(folder: TempDir, log: &Path, more: &[&str]) -> Self {
        Self::start_logging_as("text", folder, log, more)
    }

    pub(crate) fn start_logging_as(
        format: &str,
        folder: TempDir,
        log: &Path,
        more: &[&str],
    ) -> Self {
        let serve = ["serve", "--allow-query-token", "--listen", "127.0.0.1:0", "--data"];
        let mut command = tetherline(&serve);
        command.arg(folder.path()).args(more).env("RUST_LOG", "trace");
        command.env("TETHERLINE_LOG_FORMAT", format);
        let process = Process::spawn_logging(command, std::fs::File::create(log).unwrap());
        let url = process.line().strip_prefix("listening on ").expect("the agreed line").to_owned();
        Self { process: Some(process), url, folder, more: Vec::new() }
    }

    /// Where no file can be larger than so many bytes: its disk is full when the write-ahead log is as large.
    pub(crate) fn start_logging_with_file_bytes(bytes: u64, log: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let serve =
            tetherline(&["serve", "--listen", "127.0.0.1:0", "--data", text(folder.path())]);
        let mut command = with_file_bytes(bytes, &serve);
        // The log is a file, too, and shall not be the one that is full.
        command.env("RUST_LOG", "info").env("TETHERLINE_LOG_FORMAT", "text");
        let process = Process::spawn_logging(command, std::fs::File::create(log).unwrap());
        let url = process.line().strip_prefix("listening on ").expect("the agreed line").to_owned();
        Self { process: Some(process), url, folder, more: Vec::new() }
    }

    /// Where the system lets a process have no more file descriptors than so many.
    pub(crate) fn start_with_descriptors(descriptors: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let serve =
            tetherline(&["serve", "--listen", "127.0.0.1:0", "--data", text(folder.path())]);
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -n {descriptors} && exec \"$0\" \"$@\"")]);
        command.arg(serve.get_program()).args(serve.get_args()).stdin(Stdio::null());
        let process = Process::spawn(command);
        let url = process.line().strip_prefix("listening on ").expect("the agreed line").to_owned();
        Self { process: Some(process), url, folder, more: Vec::new() }
    }

    /// In an environment of its own.
    pub(crate) fn start_in(environment: &[(&str, &str)], folder: TempDir, more: &[&str]) -> Self {
        let (process, url) = serve_in(environment, folder.path(), "127.0.0.1:0", more);
        let more = more.iter().map(|&word| word.to_owned()).collect();
        Self { process: Some(process), url, folder, more }
    }

    pub(crate) fn erase(&self, user: &str, more: &[&str]) -> Output {
        let key = self.file("api.key");
        let erase = ["erase", "--url", &self.url, "--api-key-file", text(&key), "--user", user];
        run(&[&erase, more].concat())
    }

    /// Starts it again on the same folder and port, as an operator would.
    pub(crate) fn start_again(&mut self) {
        assert!(self.process.is_none(), "it still runs");
        let more: Vec<&str> = self.more.iter().map(String::as_str).collect();
        let listen = self.url.trim_start_matches("http://");
        let (process, url) = serve(self.folder.path(), listen, &more);
        assert_eq!(url, self.url);
        self.process = Some(process);
    }

    pub(crate) fn terminate(&mut self) {
        assert!(self.process.take().unwrap().terminate(), "it did not end in order");
    }

    /// Asks it to end, and does not wait for it.
    /// Ends it, and keeps what it has kept.
    pub(crate) fn stop(mut self) -> TempDir {
        self.terminate();
        self.folder
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Asks it to read its settings anew.
    pub(crate) fn hang_up(&self) {
        self.process.as_ref().unwrap().hang_up();
    }

    pub(crate) fn ask_to_end(&self) {
        self.process.as_ref().unwrap().ask_to_end();
    }

    pub(crate) fn ended(&mut self) -> ExitStatus {
        self.process.take().unwrap().ended()
    }

    pub(crate) fn kill(&mut self) {
        self.process.take().unwrap().kill();
    }

    /// What of its memory is in use, as Linux counts it.
    #[cfg(target_os = "linux")]
    pub(crate) fn memory_bytes(&self) -> u64 {
        let process = self.process.as_ref().expect("it runs").child.id();
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        1024 * line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
    }

    pub(crate) fn api_key(&self) -> String {
        std::fs::read_to_string(self.file("api.key")).unwrap().trim().to_owned()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn token(&self, user: &str) -> String {
        let secret = self.file("jwt.secret");
        let output = run(&["token", "--jwt-secret-file", text(&secret), "--user", user]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    pub(crate) fn publish(&self, user: &str, json: &str) -> Value {
        self.publish_with(user, json, &[])
    }

    pub(crate) fn publish_with(&self, user: &str, json: &str, more: &[&str]) -> Value {
        let output = self.try_publish(user, json, more);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    pub(crate) fn try_publish(&self, user: &str, json: &str, more: &[&str]) -> Output {
        let key = self.file("api.key");
        let mut arguments = vec!["publish", "--url", &self.url, "--api-key-file", text(&key)];
        arguments.extend(["--user", user, "--type", "note"]);
        arguments.extend(more);
        arguments.push(json);
        run(&arguments)
    }

    /// The server saves an acknowledgement a moment after it was said; then nothing comes twice.
    pub(crate) fn until_nothing_waits(&self, user: &str) {
        self.until_nothing_waits_for(user, "tail");
    }

    pub(crate) fn until_nothing_waits_for(&self, user: &str, device: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let waiting = self.tail(user, &["--no-ack", "--device", device]).until_caught_up();
            if waiting.is_empty() {
                return;
            }
            assert!(Instant::now() < deadline, "{waiting:?} came twice");
        }
    }

    pub(crate) fn tail(&self, user: &str, more: &[&str]) -> Tail {
        let device: &[_] = if more.contains(&"--device") { &[] } else { &["--device", "tail"] };
        self.look(user, &[device, more].concat())
    }

    /// A tail as it is without a device.
    pub(crate) fn look(&self, user: &str, more: &[&str]) -> Tail {
        let token = self.token(user);
        let mut arguments = vec!["tail", "--url", &self.url, "--token", &token];
        arguments.extend(more);
        Tail(Process::start(&arguments))
    }
}

/// A server with an admin listener.
pub(crate) struct Watched {
    pub(crate) server: Server,
    /// Where that is.
    pub(crate) admin: String,
    log: TempDir,
}

impl Watched {
    pub(crate) fn start(more: &[&str]) -> Self {
        let (folder, log) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let more = [&["--admin-listen", "127.0.0.1:0"], more].concat();
        let server = Server::start_logging_on(folder, &log.path().join("log"), &more);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let said = std::fs::read_to_string(log.path().join("log")).unwrap();
            let url = said.split("admin listening on ").nth(1);
            if let Some((url, _)) = url.and_then(|rest| rest.split_once(['\n', '"'])) {
                return Self { server, admin: url.to_owned(), log };
            }
            assert!(Instant::now() < deadline, "it does not say where: {said}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// All that it has logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.log.path().join("log")).unwrap()
    }
}

/// A running `tetherline tail`.
pub(crate) struct Tail(Process);

impl Tail {
    /// The next frame.
    pub(crate) fn frame(&self) -> Value {
        serde_json::from_str(&self.0.line()).expect("a frame is JSON")
    }

    /// The number `n` of the next notes, up to the next `pending_check_complete`.
    pub(crate) fn until_caught_up(&self) -> Vec<u64> {
        let mut notes = Vec::new();
        loop {
            let frame = self.frame();
            match frame["type"].as_str() {
                Some("pending_check_complete") => return notes,
                Some("note") => notes.push(frame["n"].as_u64().unwrap()),
                other => panic!("{other:?} is nothing that was published"),
            }
        }
    }

    /// The number `n` of the next note, whatever else comes before it.
    pub(crate) fn note(&self) -> u64 {
        loop {
            let frame = self.frame();
            if frame["type"] == "note" {
                return frame["n"].as_u64().unwrap();
            }
        }
    }

    pub(crate) fn terminate(self) {
        assert!(self.0.terminate(), "tail did not end in order");
    }
}

fn serve(data: &Path, listen: &str, more: &[&str]) -> (Process, String) {
    serve_in(&[], data, listen, more)
}

fn serve_in(
    environment: &[(&str, &str)],
    data: &Path,
    listen: &str,
    more: &[&str],
) -> (Process, String) {
    let always = ["serve", "--listen", listen, "--data", text(data)];
    let mut command = tetherline(&[&always, more].concat());
    command.envs(environment.iter().copied());
    let process = Process::spawn(command);
    let line = process.line();
    let url = line.strip_prefix("listening on ").expect("the agreed line").to_owned();
    (process, url)
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

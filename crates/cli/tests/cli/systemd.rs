//! The part that systemd plays for the real process: a socket that is handed over, and one to be told on.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    os::{
        fd::OwnedFd,
        unix::net::{UnixDatagram, UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;

use crate::support::{PATIENCE, Process, tetherline, text};

/// What systemd has of a service: its socket, and where it listens to it.
struct Unit {
    folder: TempDir,
    socket: TcpListener,
    told: UnixDatagram,
}

impl Unit {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let told = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        told.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { folder, socket, told }
    }

    fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    /// Puts the socket where systemd puts it: descriptor 3 of a process that knows its own number.
    fn command(&self, sockets: u32, more: &[&str]) -> Command {
        let data = self.folder.path().join("data");
        let serve = tetherline(&["serve", "--listen", "127.0.0.1:1", "--data", text(&data)]);
        let hand_over = "exec 3<&0 4<&0 0</dev/null; LISTEN_PID=$$ exec \"$0\" \"$@\"";
        let mut command = Command::new("sh");
        command.args(["-c", hand_over]).arg(serve.get_program()).args(serve.get_args()).args(more);
        command
            .env("LISTEN_FDS", sockets.to_string())
            .env("NOTIFY_SOCKET", self.folder.path().join("notify"))
            .env("RUST_LOG", "warn")
            .env("TETHERLINE_LOG_FORMAT", "text")
            .stdin(Stdio::from(OwnedFd::from(self.socket.try_clone().unwrap())));
        command
    }

    fn start(&self, more: &[&str], watchdog: Option<Duration>) -> Process {
        let mut command = self.command(1, more);
        if let Some(watchdog) = watchdog {
            command.env("WATCHDOG_USEC", watchdog.as_micros().to_string());
        }
        let process = Process::spawn(command);
        assert_eq!(process.line(), format!("listening on http://{}", self.address()));
        process
    }

    /// The next that it says, in its lines.
    fn hears(&self) -> Vec<String> {
        let mut datagram = [0; 4096];
        let length = self.told.recv(&mut datagram).expect("it is told something");
        let said = std::str::from_utf8(&datagram[..length]).unwrap();
        said.lines().map(str::to_owned).collect()
    }

    /// What it says besides that it lives.
    fn hears_more_than_life(&self) -> Vec<String> {
        loop {
            let said = self.hears();
            if said != ["WATCHDOG=1"] {
                return said;
            }
        }
    }
}

fn ask(address: SocketAddr, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

fn answer(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn systemd_hears_when_a_server_serves_that_it_lives_and_how_long_it_will_take_to_end() {
    let unit = Unit::new();
    let options = ["--drain", "one-by-one", "--drain-window", "40"];
    let process = unit.start(&options, Some(Duration::from_millis(300)));
    assert_eq!(unit.hears(), ["READY=1"]);
    assert!(answer(ask(unit.address(), "/readyz")).starts_with("HTTP/1.1 200 "));
    for _ in 0..3 {
        assert_eq!(unit.hears(), ["WATCHDOG=1"]);
    }
    process.ask_to_end();
    let said = unit.hears_more_than_life();
    let [stopping, extended] = &said[..] else { panic!("{said:?}") };
    assert_eq!(stopping, "STOPPING=1");
    let micros: u64 = extended.strip_prefix("EXTEND_TIMEOUT_USEC=").unwrap().parse().unwrap();
    assert!((40_000_000..90_000_000).contains(&micros), "{micros}");
    assert_eq!(process.ended().code(), Some(0));
}

#[test]
fn systemd_hears_when_a_reload_begins_and_when_it_is_over_also_if_it_came_to_nothing() {
    // `systemctl reload` came back before anything was read.
    let unit = Unit::new();
    let config = unit.folder.path().join("tetherline.toml");
    fs::write(&config, "retention-days = 1").unwrap();
    let process = unit.start(&["--config", text(&config)], None);
    assert_eq!(unit.hears(), ["READY=1"]);
    let mut earlier = 0;
    for settings in ["retention-days = 2", "retention-days = nonsense"] {
        fs::write(&config, settings).unwrap();
        process.hang_up();
        let said = unit.hears();
        let [reloading, now] = &said[..] else { panic!("{said:?}") };
        assert_eq!(reloading, "RELOADING=1");
        let now: u64 = now.strip_prefix("MONOTONIC_USEC=").unwrap().parse().unwrap();
        assert!(now > earlier, "{now} is not after {earlier}");
        earlier = now;
        assert_eq!(unit.hears(), ["READY=1"]);
    }
    assert!(process.terminate());
}

#[test]
fn a_patient_watchdog_hears_of_life_every_second_all_the_same() {
    // Three looks were all that it got, and one that came to nothing cost a third of its patience.
    let unit = Unit::new();
    let process = unit.start(&[], Some(4 * PATIENCE));
    assert_eq!(unit.hears(), ["READY=1"]);
    for _ in 0..3 {
        assert_eq!(unit.hears(), ["WATCHDOG=1"]);
    }
    assert!(process.terminate());
}

#[test]
fn without_a_watchdog_nothing_is_said_of_life() {
    let unit = Unit::new();
    let process = unit.start(&[], None);
    assert_eq!(unit.hears(), ["READY=1"]);
    assert!(process.terminate());
    assert_eq!(unit.hears()[0], "STOPPING=1");
}

#[test]
fn whoever_comes_while_a_server_is_started_anew_waits_in_the_socket_and_is_served() {
    // The port was closed, and whoever came was refused.
    let unit = Unit::new();
    assert!(unit.start(&[], None).terminate());
    let asked = ask(unit.address(), "/healthz");
    let process = unit.start(&[], None);
    assert!(answer(asked).starts_with("HTTP/1.1 200 "));
    assert!(process.terminate());
}

#[test]
fn each_socket_that_is_handed_over_is_served() {
    let unit = Unit::new();
    let path = unit.folder.path().join("http.sock");
    let socket = UnixListener::bind(&path).unwrap();
    let serve = tetherline(&["serve", "--data", text(&unit.folder.path().join("data"))]);
    let mut command = Command::new("sh");
    let hand_over = "exec 3<&0 4<&2 0</dev/null 2>/dev/null; LISTEN_PID=$$ exec \"$0\" \"$@\"";
    command.args(["-c", hand_over]).arg(serve.get_program()).args(serve.get_args());
    command
        .env("LISTEN_FDS", "2")
        .stdin(Stdio::from(OwnedFd::from(unit.socket.try_clone().unwrap())));
    let process = Process::spawn_logging(command, OwnedFd::from(socket));
    assert_eq!(process.line(), format!("listening on http://{}", unit.address()));
    assert!(answer(ask(unit.address(), "/healthz")).starts_with("HTTP/1.1 200 "));
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n").unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    assert!(said.starts_with("HTTP/1.1 200 "), "{said}");
    assert!(process.terminate());
}

fn systemd_version() -> Option<u32> {
    let said = Command::new("systemd-analyze").arg("--version").output().ok()?.stdout;
    String::from_utf8(said).ok()?.split_whitespace().nth(1)?.parse().ok()
}

#[test]
fn the_units_that_we_give_are_good_ones() {
    let given = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy");
    let folder = tempfile::tempdir().unwrap();
    let unit = |name: &str| -> PathBuf { folder.path().join(name) };
    let service = fs::read_to_string(given.join("tetherline.service")).unwrap();
    let installed = "ExecStart=tetherline serve";
    assert!(service.contains(installed));
    // A mailbox that took longer than 90 s to be brought up to date was cut off, and began anew with every start.
    assert!(service.lines().any(|line| line == "TimeoutStartSec=infinity"));
    // Five starts that failed at once were the last ones, and took the socket along.
    assert!(service.lines().any(|line| line == "StartLimitIntervalSec=0"));
    assert!(service.lines().any(|line| line == "Type=notify-reload"));
    // What the unit says to do before systemd 253.
    let service = match systemd_version() {
        Some(253..) | None => service,
        Some(_) => {
            service.replace("Type=notify-reload", "Type=notify\nExecReload=/bin/kill -HUP $MAINPID")
        }
    };
    let here = format!("ExecStart={} serve", env!("CARGO_BIN_EXE_tetherline"));
    fs::write(unit("tetherline.service"), service.replace(installed, &here)).unwrap();
    fs::copy(given.join("tetherline.socket"), unit("tetherline.socket")).unwrap();
    let analyze = |arguments: &[&str]| {
        let ran =
            Command::new("systemd-analyze").args(arguments).current_dir(folder.path()).output();
        // Where there is no systemd, the tests above play its part.
        let Ok(ran) = ran else { return };
        let said = [ran.stdout, ran.stderr].concat();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&said));
    };
    analyze(&["verify", "./tetherline.service", "./tetherline.socket"]);
    let backup = fs::read_to_string(given.join("tetherline-backup.service")).unwrap();
    let installed = "ExecStart=tetherline backup";
    assert!(backup.contains(installed));
    let here = format!("ExecStart={} backup", env!("CARGO_BIN_EXE_tetherline"));
    fs::write(unit("tetherline-backup.service"), backup.replace(installed, &here)).unwrap();
    fs::copy(given.join("tetherline-backup.timer"), unit("tetherline-backup.timer")).unwrap();
    analyze(&["verify", "./tetherline-backup.service", "./tetherline-backup.timer"]);
    analyze(&["security", "--offline=true", "--threshold=20", "./tetherline-backup.service"]);
    analyze(&["calendar", "*-*-* 02:15:00"]);
    // Of 100: what is left is the network, which it is there for.
    analyze(&["security", "--offline=true", "--threshold=20", "./tetherline.service"]);
}

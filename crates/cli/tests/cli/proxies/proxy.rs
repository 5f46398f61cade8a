//! nginx and `HAProxy` with the files of `docs/proxies`, and Caddy with the command of `deploy/compose`, on other ports.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::support::{PATIENCE, Server, text};

pub(crate) const NGINX: &str = include_str!("../../../../../docs/proxies/nginx.conf");
pub(crate) const HAPROXY: &str = include_str!("../../../../../docs/proxies/haproxy.cfg");
const COMPOSE: &str = include_str!("../../../../../deploy/compose/compose.yaml");
/// Where Tetherline is in the files of both.
const UPSTREAM: &str = "127.0.0.1:8080";

/// A running proxy, ended when it is dropped.
pub(crate) struct Proxy {
    pub(crate) name: &'static str,
    pub(crate) url: String,
    child: Child,
    folder: TempDir,
}

impl Proxy {
    /// One of each in front of this server.
    pub(crate) fn all(server: &Server) -> [Self; 3] {
        let [nginx, haproxy] = Self::all_with(server, &[]);
        [nginx, haproxy, Self::caddy(server)]
    }

    /// Those that have files, with other words in them.
    pub(crate) fn all_with(server: &Server, edits: &[(&str, &str)]) -> [Self; 2] {
        [Self::nginx(server, edits), Self::haproxy(server, edits)]
    }

    fn nginx(server: &Server, edits: &[(&str, &str)]) -> Self {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        let site = edited(NGINX, &format!("listen 127.0.0.1:{port};"), "listen 80;", server, edits);
        let at = text(folder.path()).to_owned();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {at}/{kind};\n"))
            .concat();
        let main = format!(
            "daemon off;\nworker_processes 1;\npid {at}/pid;\nerror_log {at}/error.log;\n\
             events {{ worker_connections 128; }}\nhttp {{\n{temporary}{site}}}\n"
        );
        let file = folder.path().join("nginx.conf");
        fs::write(&file, main).unwrap();
        Self::start("nginx", &["-p", &at, "-e", "stderr", "-c", text(&file)], port, folder)
    }

    fn haproxy(server: &Server, edits: &[(&str, &str)]) -> Self {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        let config = edited(HAPROXY, &format!("bind 127.0.0.1:{port}"), "bind :80", server, edits);
        let file = folder.path().join("haproxy.cfg");
        fs::write(&file, config).unwrap();
        let file = file.to_str().unwrap().to_owned();
        Self::start("haproxy", &["-db", "-f", &file], port, folder)
    }

    /// Without a name it speaks HTTP, and has no certificate to ask for.
    fn caddy(server: &Server) -> Self {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        let command =
            COMPOSE.lines().find_map(|line| line.trim().strip_prefix("command: ['caddy', "));
        let command =
            command.expect("compose starts Caddy").trim_end_matches(']').replace('\'', "");
        let (from, to) = ("${DOMAIN}", "tetherline:8080");
        assert!(command.contains(from) && command.contains(to), "{command}");
        let command = command.replace(from, &format!(":{port}"));
        let command = command.replace(to, server.url.trim_start_matches("http://"));
        let arguments: Vec<&str> = command.split(", ").collect();
        Self::start("caddy", &arguments, port, folder)
    }

    fn start(name: &'static str, arguments: &[&str], port: u16, folder: TempDir) -> Self {
        let log = fs::File::create(folder.path().join("said")).unwrap();
        // Debian has them where only an administrator looks.
        let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
        let child = Command::new(name)
            .args(arguments)
            .env("PATH", path)
            // Where Caddy keeps what it has.
            .env("HOME", folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} is needed for this test: {error}"));
        let url = format!("http://127.0.0.1:{port}");
        let mut proxy = Self { name, url, child, folder };
        proxy.until_it_listens(port);
        proxy
    }

    fn until_it_listens(&mut self, port: u16) {
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = self.child.try_wait().unwrap();
            let said = || read(self.folder.path(), "said");
            assert!(ended.is_none(), "{} ended: {}", self.name, said());
            assert!(Instant::now() < deadline, "{} does not listen: {}", self.name, said());
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // nginx has workers, which its own end ends, and a kill would not.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

fn read(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).unwrap_or_default()
}

fn edited(file: &str, listen: &str, line: &str, server: &Server, edits: &[(&str, &str)]) -> String {
    assert!(file.contains(line) && file.contains(UPSTREAM), "{line} and {UPSTREAM} are in it");
    let upstream = server.url.trim_start_matches("http://");
    let file = file.replacen(line, listen, 1).replacen(UPSTREAM, upstream, 1);
    edits.iter().fold(file, |file, (from, to)| file.replace(from, to))
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

//! nginx and HAProxy before the server, as `docs/streaming.md` has them.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    net::TcpStream,
    process::{Child, Command},
    time::{sleep, timeout},
};

use crate::server::free_port;

const NGINX: &str = include_str!("../../../../docs/proxies/nginx.conf");
const HAPROXY: &str = include_str!("../../../../docs/proxies/haproxy.cfg");
/// Where the server is in both files.
const UPSTREAM: &str = "127.0.0.1:8080";
const PATIENCE: Duration = Duration::from_mins(1);

/// What they do.
#[derive(Debug, Clone, Copy)]
pub(super) enum Manner {
    Serve,
    /// Answer everybody with this status, and a page of their own.
    Refuse(u16),
}

/// Both, on ports that stay the same.
pub(super) struct Proxies {
    folder: PathBuf,
    upstream: String,
    nginx_port: u16,
    haproxy_port: u16,
    running: Vec<Child>,
}

impl Proxies {
    pub(super) async fn start(folder: &Path, upstream: &str) -> Result<Self> {
        let mut proxies = Self {
            folder: folder.to_owned(),
            upstream: upstream.to_owned(),
            nginx_port: free_port()?,
            haproxy_port: free_port()?,
            running: Vec::new(),
        };
        proxies.run(Manner::Serve).await?;
        Ok(proxies)
    }

    pub(super) fn urls(&self) -> Vec<String> {
        [self.nginx_port, self.haproxy_port].map(|port| format!("http://127.0.0.1:{port}")).to_vec()
    }

    pub(super) async fn run(&mut self, manner: Manner) -> Result<()> {
        let (nginx, haproxy) = (self.folder.join("nginx.conf"), self.folder.join("haproxy.cfg"));
        fs::write(&nginx, self.nginx(manner)?)?;
        fs::write(&haproxy, self.haproxy(manner)?)?;
        let folder = self.folder.clone();
        self.spawn(
            "nginx",
            &["-p".as_ref(), &folder, "-e".as_ref(), "stderr".as_ref(), "-c".as_ref(), &nginx],
        )?;
        self.spawn("haproxy", &["-db".as_ref(), "-f".as_ref(), &haproxy])?;
        for port in [self.nginx_port, self.haproxy_port] {
            let started = Instant::now();
            while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                ensure!(started.elapsed() < PATIENCE, "a proxy does not listen: {}", self.said());
                sleep(Duration::from_millis(10)).await;
            }
        }
        Ok(())
    }

    /// Both end at once, with all their connections.
    pub(super) async fn stop(&mut self) -> Result<()> {
        for mut child in self.running.drain(..) {
            let id = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
            let Some(pid) = id else { bail!("a proxy had ended by itself") };
            kill_process(pid, Signal::TERM)?;
            timeout(PATIENCE, child.wait()).await.context("a proxy did not end")??;
        }
        Ok(())
    }

    fn spawn(&mut self, name: &str, arguments: &[&Path]) -> Result<()> {
        let log = File::options().create(true).append(true).open(self.folder.join("proxies"))?;
        // Debian has them where only an administrator looks.
        let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
        let child = Command::new(name)
            .args(arguments)
            .env("PATH", path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .with_context(|| {
                format!("{name} is needed (on Debian `apt-get install {name}`), and did not start")
            })?;
        self.running.push(child);
        Ok(())
    }

    fn nginx(&self, manner: Manner) -> Result<String> {
        let at = self.folder.display();
        let site =
            replaced(NGINX, "listen 80;", &format!("listen 127.0.0.1:{};", self.nginx_port))?;
        let site = replaced(&site, UPSTREAM, &self.upstream)?;
        let site = match manner {
            Manner::Serve => site,
            Manner::Refuse(status) => {
                replaced(&site, "proxy_pass http://tetherline;", &format!("return {status};"))?
            }
        };
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {at}/{kind};\n"))
            .concat();
        Ok(format!(
            "daemon off;\nworker_processes 1;\npid {at}/pid;\nerror_log {at}/error.log crit;\n\
             events {{ worker_connections 1024; }}\nhttp {{\n{temporary}{site}}}\n"
        ))
    }

    fn haproxy(&self, manner: Manner) -> Result<String> {
        let config =
            replaced(HAPROXY, "bind :80", &format!("bind 127.0.0.1:{}", self.haproxy_port))?;
        let config = replaced(&config, UPSTREAM, &self.upstream)?;
        match manner {
            Manner::Serve => Ok(config),
            Manner::Refuse(status) => {
                let deny = format!("http-request deny deny_status {status}\n    default_backend");
                replaced(&config, "default_backend", &deny)
            }
        }
    }

    fn said(&self) -> String {
        fs::read_to_string(self.folder.join("proxies")).unwrap_or_default()
    }
}

impl Drop for Proxies {
    fn drop(&mut self) {
        for child in &self.running {
            // nginx has workers, which its own end ends, and a kill would not.
            if let Some(pid) = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)) {
                let _ = kill_process(pid, Signal::TERM);
            }
        }
    }
}

fn replaced(text: &str, from: &str, to: &str) -> Result<String> {
    ensure!(text.contains(from), "`{from}` stands in a proxy's file");
    Ok(text.replacen(from, to, 1))
}

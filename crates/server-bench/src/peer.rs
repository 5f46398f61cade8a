//! Who is measured, and how each is started at its best.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::record::Counts;

/// Debian's place for it.
const NCHAN_MODULE: &str = "/usr/lib/nginx/modules/ngx_nchan_module.so";
/// How long *plain* keeps a key: so short that its keys expire as fast as they come.
const KEYS_S: &str = "3";

#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Peer {
    Tetherline,
    /// Every message is acknowledged by itself.
    TetherlineAcked,
    /// The same, and every publish has an idempotency key.
    TetherlineKeyed,
    TetherlineLive,
    Bare,
    Plain,
    PlainNoIndex,
    PlainKeys,
    Nchan,
    Mosquitto,
    Ws,
    SocketIo,
}

/// What everything is started from.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    /// The binary `tetherline`.
    pub(crate) tetherline: PathBuf,
    /// The binary `tetherline-stream-bench`.
    pub(crate) stream_bench: PathBuf,
    /// This binary.
    pub(crate) own: PathBuf,
    /// The folder with the other servers' programs and settings.
    pub(crate) peers: PathBuf,
}

impl Peer {
    /// As it is said on the command line and in the records.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// As people read it.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Tetherline => "**Tetherline**, durable",
            Self::TetherlineAcked => "**Tetherline**, every message acknowledged",
            Self::TetherlineKeyed => "**Tetherline**, acknowledged, with idempotency keys",
            Self::TetherlineLive => "**Tetherline**, live-only",
            Self::Bare => "bare: axum, nothing kept",
            Self::Plain => "plain: axum and SQLite",
            Self::PlainNoIndex => "plain without its index",
            Self::PlainKeys => "plain with idempotency keys",
            Self::Nchan => "nchan, in memory",
            Self::Mosquitto => "mosquitto, QoS 1, in memory",
            Self::Ws => "Node `ws`, nothing kept",
            Self::SocketIo => "Socket.IO with recovery, in memory",
        }
    }

    pub(crate) fn is_ours(self) -> bool {
        matches!(
            self,
            Self::Tetherline | Self::TetherlineAcked | Self::TetherlineKeyed | Self::TetherlineLive
        )
    }

    /// Whether it is built here, and not somebody else's.
    pub(crate) fn is_written_here(self) -> bool {
        !matches!(self, Self::Nchan | Self::Mosquitto | Self::Ws | Self::SocketIo)
    }

    /// What of these counts it promises not to happen.
    pub(crate) fn broken(self, counts: Counts) -> Counts {
        match self {
            // Whoever is slow may miss a live-only message.
            Self::TetherlineLive => Counts { lost: 0, ..counts },
            one if one.is_written_here() => counts,
            // What others lose is shown, and is theirs.
            _ => Counts::default(),
        }
    }

    /// The generator's arguments for it.
    pub(crate) fn manners(self, folder: &Path) -> Vec<String> {
        let dialect = match self {
            Self::SocketIo => "socket-io",
            Self::Mosquitto => "mqtt",
            one if one.is_ours() => "tetherline",
            _ => "path",
        };
        let mut manners = vec!["--dialect".to_owned(), dialect.to_owned()];
        let mut add = |words: &[&str]| manners.extend(words.iter().map(|&word| word.to_owned()));
        if self.is_ours() {
            add(&["--secrets", &folder.to_string_lossy()]);
        }
        match self {
            Self::TetherlineAcked => add(&["--ack-every", "1"]),
            Self::TetherlineKeyed => add(&["--ack-every", "1", "--keyed"]),
            Self::PlainKeys => add(&["--keyed"]),
            Self::TetherlineLive => add(&["--live-only"]),
            _ => {}
        }
        manners
    }

    /// What has to be there for it, and is not.
    pub(crate) fn missing(self, programs: &Programs) -> Option<&'static str> {
        let module = |name| programs.peers.join("node_modules").join(name).is_dir();
        let (is_there, what) = match self {
            Self::Nchan => (
                found("nginx").is_some() && Path::new(NCHAN_MODULE).is_file(),
                "nginx with its module nchan (on Debian `apt-get install nginx libnginx-mod-nchan`)",
            ),
            Self::Mosquitto => {
                (found("mosquitto").is_some(), "mosquitto (on Debian `apt-get install mosquitto`)")
            }
            Self::Ws => (found("node").is_some() && module("ws"), "Node, or its package `ws`"),
            Self::SocketIo => {
                (found("node").is_some() && module("socket.io"), "Node, or its package `socket.io`")
            }
            _ => (true, ""),
        };
        (!is_there).then_some(what)
    }

    /// The command that becomes the server, with its files in `folder`.
    pub(crate) fn command(
        self,
        programs: &Programs,
        folder: &Path,
        listen: SocketAddr,
        more: &[&str],
    ) -> Result<(PathBuf, Vec<String>)> {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let listens = listen.to_string();
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        let port = listen.port();
        let needs = |program| found(program).with_context(|| format!("no {program} was found"));
        let database = text(&folder.join("messages.db"));
        Ok(match self {
            Self::Bare => (programs.own.clone(), words(&["bare", "--listen", &listens])),
            Self::Plain | Self::PlainNoIndex | Self::PlainKeys => {
                let own = match self {
                    Self::PlainNoIndex => &["--no-index"][..],
                    Self::PlainKeys => &["--keys-s", KEYS_S],
                    _ => &[],
                };
                let all = ["plain", "--listen", &listens, "--data", &database];
                (programs.own.clone(), words(&[&all, own].concat()))
            }
            Self::Nchan => {
                let settings = settings(&programs.peers.join("nginx.conf"), folder, port)?;
                let log = text(&folder.join("error.log"));
                let all = ["-e", &log, "-c", &text(&settings), "-p", &text(folder)];
                (needs("nginx")?, words(&all))
            }
            Self::Mosquitto => {
                let settings = settings(&programs.peers.join("mosquitto.conf"), folder, port)?;
                (needs("mosquitto")?, words(&["-c", &text(&settings)]))
            }
            Self::Ws | Self::SocketIo => {
                let script = if self == Self::Ws { "ws.mjs" } else { "socketio.mjs" };
                let script = text(&programs.peers.join(script));
                (needs("node")?, words(&[&script, &port.to_string()]))
            }
            Self::Tetherline
            | Self::TetherlineAcked
            | Self::TetherlineKeyed
            | Self::TetherlineLive => {
                for name in ["api.key", "jwt.secret"] {
                    let secret: String =
                        std::iter::repeat_with(fastrand::alphanumeric).take(40).collect();
                    fs::write(folder.join(name), secret)?;
                }
                let (api_key, jwt_secret) = (folder.join("api.key"), folder.join("jwt.secret"));
                let data = text(&folder.join("data"));
                let all = ["serve", "--listen", &listens, "--data", &data];
                // All the load comes from one address.
                let rates = ["--accepts-per-address", "off", "--attempts-per-address", "off"];
                let secrets =
                    ["--api-key-file", &text(&api_key), "--jwt-secret-file", &text(&jwt_secret)];
                (programs.tetherline.clone(), words(&[&all[..], &rates, &secrets, more].concat()))
            }
        })
    }

    /// Its name and version, as it says them itself.
    pub(crate) fn version(self, programs: &Programs) -> String {
        let package = |name: &str| {
            let file = programs.peers.join("node_modules").join(name).join("package.json");
            let package: serde_json::Value = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
            Some(format!("{name} {}", package["version"].as_str()?))
        };
        let node = || said("node", &["--version"]).replace('v', "Node ");
        match self {
            Self::Bare => format!("axum {}", locked("axum")),
            Self::Plain | Self::PlainNoIndex | Self::PlainKeys => {
                format!("axum {} and SQLite {}", locked("axum"), rusqlite::version())
            }
            Self::Nchan => {
                let nginx = said("nginx", &["-v"]).replace("nginx version: nginx/", "nginx ");
                let query = ["-W", "-f", "${Version}", "libnginx-mod-nchan"];
                format!("{nginx} with nchan {}", said("dpkg-query", &query))
            }
            Self::Mosquitto => said("mosquitto", &["-h"]).replace("version ", ""),
            Self::Ws => format!("{} on {}", package("ws").unwrap_or_default(), node()),
            Self::SocketIo => format!("{} on {}", package("socket.io").unwrap_or_default(), node()),
            _ => said(&programs.tetherline.to_string_lossy(), &["--version"])
                .replace("tetherline-cli", "Tetherline"),
        }
    }
}

/// The first line that a program says about itself, wherever it says it.
fn said(program: &str, arguments: &[&str]) -> String {
    let program = found(program).unwrap_or_else(|| program.into());
    let Ok(output) = Command::new(program).args(arguments).output() else {
        return String::new();
    };
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&text).lines().next().unwrap_or_default().trim().to_owned()
}

/// On the PATH, or where Debian has programs of administrators.
fn found(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// A server's settings with folder and ports filled in.
fn settings(template: &Path, folder: &Path, port: u16) -> Result<PathBuf> {
    let text = fs::read_to_string(template)
        .with_context(|| format!("reading {}", template.display()))?
        .replace("@FOLDER@", &folder.to_string_lossy())
        .replace("@PORT@", &port.to_string())
        .replace("@NEXT_PORT@", &(port + 1).to_string())
        .replace("@MODULE@", NCHAN_MODULE);
    let file = folder.join("settings.conf");
    fs::write(&file, text)?;
    Ok(file)
}

/// The version of a crate that this workspace builds with.
fn locked(name: &str) -> &'static str {
    const LOCK: &str = include_str!("../../../Cargo.lock");
    let package = format!("name = \"{name}\"\nversion = \"");
    LOCK.split_once(&package).and_then(|(_, rest)| rest.split('"').next()).unwrap_or_default()
}

//! `cargo xtask run`: from a fresh checkout to a page in the browser.

use std::{
    io,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::{prepare, workspace};

/// What was asked for on the command line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    port: u16,
    data: Option<PathBuf>,
    release: bool,
}

impl Options {
    /// Reads `[--port N] [--data DIR] [--release]`.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self> {
        let mut options = Self { port: 8080, data: None, release: false };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let (name, inline) = match argument.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (argument.as_str(), None),
            };
            let mut value = || {
                inline
                    .clone()
                    .or_else(|| arguments.next().cloned())
                    .with_context(|| format!("{name} needs a value"))
            };
            match name {
                "--port" => {
                    let text = value()?;
                    options.port = text.parse().with_context(|| {
                        format!("--port is a number from 0 to 65535, not `{text}`")
                    })?;
                }
                "--data" => options.data = Some(value()?.into()),
                "--release" => options.release = true,
                _ => bail!(
                    "`{argument}` is not known here. Use [--port 8080] [--data DIR] [--release]."
                ),
            }
        }
        Ok(options)
    }
}

/// Prepares what is missing, then becomes the chat server.
///
/// The profile is `dev`, with the password hash alone optimised: it builds in half the time of a
/// release, shares its work with `cargo xtask test`, and one person's chat does not notice.
/// `--release` is there for measuring.
pub(crate) fn run(root: &Path, options: &Options) -> Result<()> {
    port_is_free(options.port)?;
    prepare::tools(root)?;
    prepare::package(root)?;
    prepare::web(root)?;
    prepare::chat_server(root, options.release)?;
    let mut server = Command::new(workspace::binary(root, "tetherline-chat", options.release));
    server
        .arg("--listen")
        .arg(format!("127.0.0.1:{}", options.port))
        .arg("--data")
        .arg(options.data.clone().unwrap_or_else(|| root.join("data")))
        .arg("--web")
        .arg(root.join("apps/chat/web/dist"));
    become_it(server)
}

/// Said now rather than after minutes of building. The server says it too, should it come to that.
fn port_is_free(port: u16) -> Result<()> {
    match TcpListener::bind(("127.0.0.1", port)) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => bail!(
            "port {port} is in use; end the program that uses it, or choose another with \
             `cargo xtask run --port`"
        ),
        // Whatever else is wrong, the server finds out with its own words.
        _ => Ok(()),
    }
}

#[cfg(unix)]
fn become_it(mut server: Command) -> Result<()> {
    use std::os::unix::process::CommandExt as _;
    Err(server.exec()).context("cannot start the chat server")
}

#[cfg(not(unix))]
fn become_it(mut server: Command) -> Result<()> {
    let status = server.status().context("cannot start the chat server")?;
    std::process::exit(status.code().unwrap_or(1));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Options> {
        Options::parse(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn options_may_be_written_with_a_space_or_an_equals_sign() {
        let expected = Options { port: 9000, data: Some("elsewhere".into()), release: false };
        assert_eq!(parse("--port 9000 --data elsewhere").unwrap(), expected);
        assert_eq!(parse("--port=9000 --data=elsewhere").unwrap(), expected);
    }

    #[test]
    fn a_port_in_use_is_named_before_anything_is_built() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let said = port_is_free(port).unwrap_err().to_string();
        assert!(said.contains(&format!("port {port} is in use")), "{said}");
        drop(taken);
        assert!(port_is_free(0).is_ok());
    }

    #[test]
    fn a_port_that_is_none_is_named() {
        let message = parse("--port 99999").unwrap_err().to_string();
        assert_eq!(message, "--port is a number from 0 to 65535, not `99999`");
        assert!(parse("--prot 1").unwrap_err().to_string().contains("`--prot` is not known"));
    }
}

//! `tetherline-echo`: a WebSocket that says what it hears, over the same socket layer as every connection of the
//! server, so that anybody can hold that to a test suite of RFC 6455.

use std::{net::SocketAddr, process::ExitCode};

use anyhow::{Context as _, Result};
use clap::Parser;
use tetherline_process::{arguments, note, say, say_panics};
use tetherline_server::{chain, echo, listen, serve};

#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    /// Address and port; port 0 takes a free one, which is printed.
    #[arg(long, default_value = "127.0.0.1:9001")]
    listen: SocketAddr,
    /// Largest message that comes back, in bytes; a larger one closes its connection with 1009. Autobahn's have up
    /// to 16 MiB.
    #[arg(long, value_name = "BYTES", default_value_t = 16 * 1024 * 1024)]
    message_bytes_max: usize,
}

#[tokio::main]
async fn main() -> ExitCode {
    say_panics();
    let arguments = match arguments::<Arguments>() {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    match run(&arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            note!("tetherline-echo: {}", chain(problem.as_ref()));
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<()> {
    let address = arguments.listen;
    let listener = listen(address).with_context(|| format!("cannot listen on {address}"))?;
    say!("listening on ws://{}", listener.local_addr()?);
    serve(listener, echo(arguments.message_bytes_max), std::future::pending()).await?;
    Ok(())
}

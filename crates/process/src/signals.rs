use std::{
    io,
    sync::{Arc, atomic::AtomicBool},
};

use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag,
};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::Exit;

/// Who asked a process to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// Whatever supervises it: SIGTERM.
    Terminate,
    /// Somebody at a terminal, who waits: SIGINT.
    Interrupt,
}

/// What a process is told to do: SIGTERM and SIGINT ask it to end in order. The second of them ends it
/// at once, with 128 and the signal's number as its exit code, whatever hangs.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

/// SIGHUP, by which a process is asked to read its settings anew.
#[derive(Debug)]
pub struct Hangups(Signal);

impl Hangups {
    /// Done when the next has come; several that came meanwhile are one.
    pub async fn next(&mut self) {
        if self.0.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

impl Signals {
    /// Listens from now on.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn listen() -> io::Result<Self> {
        let is_ending = Arc::new(AtomicBool::new(false));
        for (number, exit) in [(SIGTERM, Exit::Terminated), (SIGINT, Exit::Interrupted)] {
            // In this order: the first signal arms what the second one meets.
            flag::register_conditional_shutdown(number, exit.code().into(), is_ending.clone())?;
            flag::register(number, is_ending.clone())?;
        }
        let terminate = signal(SignalKind::terminate())?;
        Ok(Self { terminate, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Lives on when SIGHUP comes, and says that it means nothing here.
    pub fn ignore_hangup(self) -> io::Result<Self> {
        let mut hangup = signal(SignalKind::hangup())?;
        tokio::spawn(async move {
            while hangup.recv().await.is_some() {
                tracing::info!("SIGHUP: there is nothing to reload");
            }
        });
        Ok(self)
    }

    /// Lives on when SIGHUP comes, and hands it on. It does so under `nohup`, too.
    pub fn hangups() -> io::Result<Hangups> {
        signal(SignalKind::hangup()).map(Hangups)
    }

    /// Done when the process is to end.
    pub async fn stop(mut self) -> Asked {
        let Self { terminate, interrupt } = &mut self;
        tokio::select! {
            _ = terminate.recv() => Asked::Terminate,
            _ = interrupt.recv() => Asked::Interrupt,
        }
    }
}

use std::io;

/// Who asked a process to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// Whatever supervises it.
    Terminate,
    /// Somebody at a terminal, who waits.
    Interrupt,
}

/// Where there are no signals: the interrupt asks the process to end in order.
#[derive(Debug)]
pub struct Signals;

/// There is no SIGHUP here.
#[derive(Debug)]
pub struct Hangups(());

impl Hangups {
    /// Never done.
    pub async fn next(&mut self) {
        std::future::pending::<()>().await;
    }
}

impl Signals {
    /// There are none here.
    pub fn hangups() -> io::Result<Hangups> {
        Ok(Hangups(()))
    }

    /// Listens from now on.
    pub fn listen() -> io::Result<Self> {
        Ok(Self)
    }

    /// There is none here.
    pub fn ignore_hangup(self) -> io::Result<Self> {
        Ok(self)
    }

    /// Done when the process is to end.
    pub async fn stop(self) -> Asked {
        let _ = tokio::signal::ctrl_c().await;
        Asked::Interrupt
    }
}

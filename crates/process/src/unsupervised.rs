use std::{convert::Infallible, io, net::TcpListener, time::Duration};

/// A socket that this process was started with.
#[derive(Debug)]
pub enum Inherited {
    /// One with an address.
    Tcp(TcpListener),
}

/// There are none here.
pub fn inherited_listeners() -> io::Result<Vec<Inherited>> {
    Ok(Vec::new())
}

/// There is none here.
pub fn inherited_listener() -> io::Result<Option<TcpListener>> {
    Ok(None)
}

/// Nobody is told here.
pub fn say_ready() {}

/// Nobody is told here.
pub fn say_reloading() {}

/// Nobody is told here.
pub fn say_stopping(_at_most: Duration) {}

/// There is none here.
pub async fn feed_watchdog(_lives: impl AsyncFn() -> bool) -> Infallible {
    std::future::pending().await
}

//! What may be there to wait for, or not.

use tokio::time;

use crate::link::{Incoming, Link};

pub(super) async fn read(link: Option<&mut Link>) -> Incoming {
    match link {
        Some(link) => link.read().await,
        None => std::future::pending().await,
    }
}

pub(super) async fn sleep_until(due: Option<time::Instant>) {
    match due {
        Some(due) => time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

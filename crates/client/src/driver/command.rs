use tokio::sync::oneshot;

use crate::{Event, Receipt, sends::Outgoing};

/// What the client asks of its driver.
#[derive(Debug)]
pub(crate) enum Command {
    /// The application wants an event; the message before it may be handled.
    Next { handled: Option<Receipt>, answer: oneshot::Sender<Event> },
    /// The application is done with this message.
    Handled(Receipt),
    /// A message to send.
    Send(Outgoing),
    /// The application has reason to believe that an attempt would succeed now.
    Reconnect,
    /// Say goodbye and end.
    Close { handled: Option<Receipt> },
}

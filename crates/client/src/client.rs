use std::{convert::Infallible, time::Duration};

use tetherline_engine::Status;
use tetherline_protocol::{StopTarget, limits::OUTBOX_TTL_MS};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};

use crate::{
    Accepted, Acknowledge, Builder, Connection, Event, Receipt, SendError,
    builder::Setup,
    driver::{Command, Driver},
    sends::Outgoing,
};

/// Commands on their way to the driver; whoever sends more waits.
const COMMANDS_MAX: usize = 16;

/// One user's connection, kept up by a task in the background until this is dropped, whatever
/// [`Sender`]s there are.
#[derive(Debug)]
pub struct Client {
    commands: mpsc::Sender<Command>,
    connection: watch::Receiver<Connection>,
    acknowledge: Acknowledge,
    /// A question that a cancelled `next` has left; asking again must not lose its answer.
    asked: Option<oneshot::Receiver<Event>>,
    /// The message that the application has in hand.
    in_hand: Option<Receipt>,
    driver: JoinHandle<()>,
    /// Says by its end that nobody reads any more; a [`Sender`] alone keeps no connection up.
    _reads: oneshot::Sender<Infallible>,
}

impl Client {
    /// Describe the connection, then [`Builder::connect`]. `url` is the server's, like
    /// `https://chat.example.org`.
    #[must_use]
    pub fn builder(url: &str) -> Builder {
        Builder::new(url)
    }

    pub(crate) fn start(setup: Setup) -> Self {
        let (commands, receiver) = mpsc::channel(COMMANDS_MAX);
        let start = Connection {
            status: Status::Connecting,
            attempts: 0,
            retry_in: None,
            reason: None,
            trouble: None,
        };
        let (reporter, connection) = watch::channel(start);
        let acknowledge = setup.acknowledge;
        let (reads, reader) = oneshot::channel();
        let driver = tokio::spawn(Driver::new(setup, receiver, reader, reporter).run());
        let (asked, in_hand) = (None, None);
        Self { commands, connection, acknowledge, asked, in_hand, driver, _reads: reads }
    }

    /// The next event; `None` when the client is done for good.
    ///
    /// With [`Acknowledge::OnNext`], asking says that the message before it is handled. A call that
    /// is cancelled loses nothing.
    pub async fn next(&mut self) -> Option<Event> {
        if self.asked.is_none() {
            // Nothing is taken out of hand before this: the call may be cancelled here.
            let permit = self.commands.reserve().await.ok()?;
            let handled = match self.acknowledge {
                Acknowledge::OnNext => self.in_hand.take(),
                Acknowledge::Explicitly | Acknowledge::Never => None,
            };
            let (answer, asked) = oneshot::channel();
            permit.send(Command::Next { handled, answer });
            self.asked = Some(asked);
        }
        let event = self.asked.as_mut()?.await.ok();
        self.asked = None;
        if let Some(Event::Message(message)) = &event {
            self.in_hand = Some(message.receipt);
        }
        event
    }

    /// Says that the message with this [`crate::Message::receipt`] is handled, with
    /// [`Acknowledge::Explicitly`]. Messages may be handled in any order.
    pub async fn ack(&self, receipt: Receipt) {
        // A driver that is gone acknowledges nothing any more; the message will come again.
        let _ = self.commands.send(Command::Handled(receipt)).await;
    }

    /// Sends a message and waits until the application at the other end took it, over any number
    /// of reconnects.
    ///
    /// `json` is the message as one JSON object with its `type`. Without an `id` it gets one; with
    /// one, repeating it is safe.
    pub async fn send(&self, json: &str) -> Result<Accepted, SendError> {
        self.sender().send(json).await
    }

    /// As [`Client::send`], for a message that expires after `ttl` instead of a day. It may be up to
    /// three days.
    pub async fn send_within(&self, json: &str, ttl: Duration) -> Result<Accepted, SendError> {
        self.sender().send_within(json, ttl).await
    }

    /// Stops an answer: it keeps the text that it has. It is a send like any other, behind those that
    /// were made before it.
    pub async fn stop(&self, target: StopTarget) -> Result<Accepted, SendError> {
        self.sender().stop(target).await
    }

    /// A handle that sends while this client is busy with [`Client::next`].
    #[must_use]
    pub fn sender(&self) -> Sender {
        Sender { commands: self.commands.clone() }
    }

    /// Attempts at once to connect, while the client waits for its next attempt: "try now".
    pub async fn reconnect(&self) {
        // A driver that is gone connects no more, and `next` says so.
        let _ = self.commands.send(Command::Reconnect).await;
    }

    /// How the connection is doing, and every change of it.
    #[must_use]
    pub fn connection(&self) -> watch::Receiver<Connection> {
        self.connection.clone()
    }

    /// Acknowledges what is handled, says goodbye and ends. Dropping the client instead only ends.
    pub async fn close(self) {
        let handled = match self.acknowledge {
            Acknowledge::OnNext => self.in_hand,
            Acknowledge::Explicitly | Acknowledge::Never => None,
        };
        if self.commands.send(Command::Close { handled }).await.is_ok() {
            // An error here is the driver's panic, which has been printed.
            let _ = self.driver.await;
        }
    }
}

/// Sends messages on a [`Client`]'s connection.
#[derive(Debug, Clone)]
pub struct Sender {
    commands: mpsc::Sender<Command>,
}

impl Sender {
    /// See [`Client::send`].
    pub async fn send(&self, json: &str) -> Result<Accepted, SendError> {
        self.send_within(json, Duration::from_millis(OUTBOX_TTL_MS)).await
    }

    /// See [`Client::send_within`].
    pub async fn send_within(&self, json: &str, ttl: Duration) -> Result<Accepted, SendError> {
        let (answer, outcome) = oneshot::channel();
        let outgoing = Outgoing::parse(json, ttl, answer)?;
        self.transmit(outgoing, outcome).await
    }

    /// See [`Client::stop`].
    pub async fn stop(&self, target: StopTarget) -> Result<Accepted, SendError> {
        let (answer, outcome) = oneshot::channel();
        self.transmit(Outgoing::stop(&target, answer), outcome).await
    }

    async fn transmit(
        &self,
        outgoing: Outgoing,
        outcome: oneshot::Receiver<Result<Accepted, SendError>>,
    ) -> Result<Accepted, SendError> {
        self.commands.send(Command::Send(outgoing)).await.map_err(|_| SendError::Closed)?;
        outcome.await.map_err(|_| SendError::Closed)?
    }
}

//! A server in this process, and what tests ask of it.

use std::{sync::Arc, time::Duration};

use tempfile::TempDir;
use tetherline::{Acknowledge, Builder, Client, Connection, Event, Message, Status};
use tetherline_protocol::{Limits, UserId};
use tetherline_server::{
    Application, Config, JwtKeys, Server, issue_token, listen, serve, store::SqliteStore,
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    time::timeout,
};

/// Far more than anything here takes; a test that waits this long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Host {
    pub(crate) server: Server,
    pub(crate) url: String,
    keys: JwtKeys,
    _folder: TempDir,
}

impl Host {
    pub(crate) fn start() -> Self {
        Self::start_with(None)
    }

    pub(crate) fn start_with(application: Option<Arc<dyn Application>>) -> Self {
        Self::start_as(application, |_| {})
    }

    pub(crate) fn start_as(
        application: Option<Arc<dyn Application>>,
        change: impl FnOnce(&mut Limits),
    ) -> Self {
        Self::start_set_up(application, |config| change(&mut config.limits))
    }

    pub(crate) fn start_set_up(
        application: Option<Arc<dyn Application>>,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let keys = JwtKeys::from_secret(b"a secret of enough random bytes").unwrap();
        let store = SqliteStore::open(&folder.path().join("mailbox.db")).unwrap();
        let mut config = Config::new(keys.clone());
        change(&mut config);
        let server = Server::open(config, store);
        if let Some(application) = application {
            server.attach(application);
        }
        let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(serve(listener, server.router(), std::future::pending()));
        Self { server, url, keys, _folder: folder }
    }

    pub(crate) fn token(&self) -> String {
        self.issuer(Duration::from_mins(1))()
    }

    /// Issues tokens that are good for so long.
    pub(crate) fn issuer(&self, lifetime: Duration) -> impl Fn() -> String + Send + Sync + 'static {
        let keys = self.keys.clone();
        move || issue_token(&keys, &ada(), Some("sign-in"), lifetime)
    }

    fn address(&self) -> String {
        self.url.trim_start_matches("http://").to_owned()
    }

    /// A client of ada's, on the device `laptop`.
    pub(crate) fn builder(&self) -> Builder {
        self.builder_at(&self.url)
    }

    /// The same, behind another address.
    pub(crate) fn builder_at(&self, url: &str) -> Builder {
        Client::builder(url).user(ada()).device("laptop".parse().unwrap()).only_token(self.token())
    }

    pub(crate) async fn publish(&self, n: u64) {
        let message = format!(r#"{{"type":"note","n":{n}}}"#);
        let message = tetherline_protocol::frame::Message::parse(&message).unwrap();
        self.server.publish(&ada(), None, message).await.unwrap();
    }
}

/// One address behind which a server can be exchanged for another.
pub(crate) struct Door {
    pub(crate) url: String,
    behind: watch::Sender<String>,
}

impl Door {
    pub(crate) async fn open(host: &Host) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (behind, mut current) = watch::channel(host.address());
        tokio::spawn(async move {
            while let Ok((mut outside, _)) = listener.accept().await {
                let address = current.borrow_and_update().clone();
                let mut exchanged = current.clone();
                tokio::spawn(async move {
                    let mut inside = TcpStream::connect(address).await.unwrap();
                    tokio::select! {
                        _ = copy_bidirectional(&mut outside, &mut inside) => {}
                        _ = exchanged.changed() => {}
                    }
                });
            }
        });
        Self { url, behind }
    }

    /// Cuts what goes to the server before.
    pub(crate) fn lead_to(&mut self, host: &Host) {
        self.behind.send_replace(host.address());
    }
}

pub(crate) fn ada() -> UserId {
    "ada".parse().unwrap()
}

pub(crate) async fn event(client: &mut Client) -> Option<Event> {
    timeout(PATIENCE, client.next()).await.expect("an event")
}

/// The next message, whatever else comes before it.
pub(crate) async fn message(client: &mut Client) -> Message {
    loop {
        match event(client).await {
            Some(Event::Message(message)) => return message,
            Some(_) => {}
            None => panic!("the client is done"),
        }
    }
}

/// Waits until the client says that messages are lost.
pub(crate) async fn until_gap(client: &mut Client) {
    while !matches!(event(client).await.expect("the client goes on"), Event::Gap { .. }) {}
}

/// The positions of what comes before the next `pending_check_complete`.
pub(crate) async fn until_caught_up(client: &mut Client) -> Vec<u64> {
    let mut seqs = Vec::new();
    loop {
        match event(client).await {
            Some(Event::Message(message)) => seqs.push(message.seq.unwrap().get()),
            Some(Event::CaughtUp { .. }) => return seqs,
            other => panic!("{other:?} came before everything was there"),
        }
    }
}

/// Waits until exactly these positions wait for the device: the server saves an acknowledgement a
/// moment after it was said.
pub(crate) async fn until_waiting(host: &Host, wanted: &[u64]) {
    let mut last = Vec::new();
    let looking = async {
        loop {
            let mut look = host.builder().acknowledge(Acknowledge::Never).connect().unwrap();
            last = until_caught_up(&mut look).await;
            if last == wanted {
                return;
            }
        }
    };
    let seen = timeout(PATIENCE, looking).await.is_ok();
    assert!(seen, "{wanted:?} should wait, but {last:?} do");
}

pub(crate) async fn until(client: &Client, wanted: Status) -> Connection {
    let mut connection = client.connection();
    let seen = timeout(PATIENCE, connection.wait_for(|now| now.status == wanted)).await;
    seen.expect("the status in time").unwrap().clone()
}

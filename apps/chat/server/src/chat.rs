//! The chat put together: its database, the Tetherline server, and the tasks in the background.

use std::{
    io,
    net::SocketAddr,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::Router;
use jsonwebtoken::DecodingKey;
use tetherline_server::{
    ApiKey, JwtKeys, Origin, Proxies, SecretFileError, Server, StoreError, WeakSecret,
    raise_descriptors, secret_file,
    store::{self, SqliteStore},
};
use tokio::task::JoinSet;

use crate::{
    application::ChatApplication,
    clock::now_ms,
    database::{Database, DatabaseError, OpenDatabaseError},
    device::DeviceKey,
    http, jobs,
    limits::PROVIDER_TIMEOUT,
    password::{PasswordError, Passwords},
    rate_limit::SignInRations,
    responder::Responder,
    sign_in::RefreshKey,
    web::Web,
    workers::{self, Answering, Stops, Wakes},
};

/// How a chat is set up.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where databases and secrets live; created if it is missing.
    pub data: PathBuf,
    /// The built web application. Without it only the API is served.
    pub web: Option<PathBuf>,
    /// Pages that may use this chat besides its own.
    pub allowed_origins: Vec<Origin>,
    /// Proxies that are believed when they say who asks.
    pub proxies: Proxies,
    /// Over how long those who were connected come back after the chat has ended.
    pub drain_window: Duration,
    /// Who answers.
    pub responder: Responder,
}

/// A running chat: a handle, cheap to clone.
#[derive(Clone)]
pub struct Chat {
    shared: Arc<Shared>,
    web: Web,
}

/// What the HTTP handlers work with.
pub(crate) struct Shared {
    pub(crate) database: Database,
    pub(crate) server: Server,
    pub(crate) passwords: Passwords,
    pub(crate) sign_ins: SignInRations,
    pub(crate) device_key: DeviceKey,
    pub(crate) jwt: JwtKeys,
    pub(crate) jwt_check: DecodingKey,
    pub(crate) refresh_key: RefreshKey,
    pub(crate) allowed_origins: Vec<Origin>,
    pub(crate) proxies: Proxies,
    workers: Mutex<JoinSet<()>>,
}

/// Why a chat did not open. `Display` says what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenChatError {
    /// The data folder cannot be created.
    #[error(
        "cannot create the data folder {}: {source}; make its parent writable, or choose another \
         folder with --data", path.display()
    )]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The web application is not where it was said to be.
    #[error(
        "there is no index.html in {}; build the web application first, or name the folder of \
         the built files with --web", .0.display()
    )]
    NoWeb(PathBuf),
    /// A secret in the data folder cannot be used.
    #[error("{0}; make the data folder writable, or choose another one with --data")]
    Secret(#[from] SecretFileError),
    /// A secret in the data folder was replaced by a short one.
    #[error("{0} in the data folder; delete it to have a new one made")]
    Weak(#[from] WeakSecret),
    /// The chat's own database does not open.
    #[error(transparent)]
    Database(#[from] OpenDatabaseError),
    /// The mailbox does not open.
    #[error("cannot open the mailbox in the data folder: {0}")]
    Mailbox(#[from] store::OpenError),
    /// The mailbox fails already.
    #[error("cannot read the mailbox in the data folder: {0}")]
    Answers(#[from] StoreError),
    /// The chat's own database fails already.
    #[error(transparent)]
    Rows(#[from] DatabaseError),
    /// No password can be hashed here.
    #[error(transparent)]
    Passwords(#[from] PasswordError),
}

impl Chat {
    /// Opens the data folder and goes on where the last life ended: waiting questions are answered,
    /// answers that broke off are ended with the text that they have, and what was not published is.
    /// `address` is the listener's own.
    pub async fn open(config: Config, address: SocketAddr) -> Result<Self, OpenChatError> {
        if let Some(web) = &config.web
            && !web.join("index.html").is_file()
        {
            return Err(OpenChatError::NoWeb(web.clone()));
        }
        create_folder(&config.data)?;
        let database = Database::open(&config.data)?;
        let jwt_secret = secret_file(&config.data.join("jwt.secret"))?;
        let refresh_secret = secret_file(&config.data.join("refresh.secret"))?;
        let jwt = JwtKeys::from_secret(jwt_secret.as_bytes())?;
        let mut allowed_origins = Origin::of_listener(address);
        allowed_origins.extend(config.allowed_origins);

        let mut server_config = tetherline_server::Config::new(jwt.clone());
        server_config.proxies = config.proxies.clone();
        server_config.api_key = Some(ApiKey::new(&secret_file(&config.data.join("api.key"))?)?);
        server_config.allowed_origins.clone_from(&allowed_origins);
        server_config.drain_window = config.drain_window;
        // The responder's patience ends first: then there is a sentence for the person who asked.
        server_config.limits.stream_idle_ms = 2 * PROVIDER_TIMEOUT.as_millis() as u64;
        raise_descriptors(server_config.limits.connections_max);
        let mailbox = SqliteStore::open(&config.data.join("mailbox.db"))?;
        let server = Server::open(server_config, mailbox);

        database.write(|transaction| jobs::forget_old(transaction, now_ms())).await?;
        workers::recover(&database, &server).await?;
        let (wakes, stops) = (Arc::new(Wakes::default()), Arc::new(Stops::default()));
        server.attach(Arc::new(ChatApplication {
            database: database.clone(),
            wakes: Arc::clone(&wakes),
            stops: Arc::clone(&stops),
        }));
        let answering = Answering {
            database: database.clone(),
            server: server.clone(),
            responder: config.responder,
            wakes,
            stops,
        };
        let workers = start_workers(answering);
        let web = Web::new(config.web, &allowed_origins);
        let shared = Shared {
            passwords: Passwords::new()?,
            sign_ins: SignInRations::new(),
            device_key: DeviceKey::new(&refresh_secret),
            refresh_key: RefreshKey::new(&refresh_secret),
            jwt_check: DecodingKey::from_secret(jwt_secret.as_bytes()),
            jwt,
            database,
            server,
            allowed_origins,
            proxies: config.proxies,
            workers: Mutex::new(workers),
        };
        Ok(Self { shared: Arc::new(shared), web })
    }

    /// Everything that the chat serves: `/api`, `/ws`, `/v1`, and the web application.
    pub fn router(&self) -> Router {
        http::router(Arc::clone(&self.shared), self.web.clone())
    }

    /// The Tetherline server inside, to publish more than answers.
    #[must_use]
    pub fn server(&self) -> &Server {
        &self.shared.server
    }

    /// Resolves, with the reason, when the database or the mailboxes will never keep anything again.
    /// End the process then, so that whatever supervises it can start it anew.
    pub async fn failed(&self) -> StoreError {
        tokio::select! {
            error = self.shared.server.failed() => error,
            () = self.shared.database.ended() => StoreError::new("the database's thread has ended"),
        }
    }

    /// Sends everybody away, to come back, and stops the work in the background. What is
    /// unfinished goes on at the next start.
    pub async fn shut_down(&self) {
        self.shared.server.drain().await;
        let mut workers = std::mem::take(
            &mut *self.shared.workers.lock().unwrap_or_else(PoisonError::into_inner),
        );
        workers.shutdown().await;
    }

    /// Closes the chat's database, once nothing is served any more: its one file has everything then,
    /// for whoever copies it.
    pub async fn close(&self) {
        if let Err(error) = self.shared.database.close().await {
            tracing::warn!(%error, "the database could not be closed; its log stays beside it");
        }
    }
}

fn start_workers(answering: Answering) -> JoinSet<()> {
    let mut workers = JoinSet::new();
    workers.spawn(workers::publish_outbox(
        answering.database.clone(),
        answering.server.clone(),
        Arc::clone(&answering.wakes),
    ));
    workers.spawn(workers::answer_questions(Arc::new(answering)));
    workers
}

/// Password hashes and secrets live here: nobody else needs to look inside.
fn create_folder(path: &Path) -> Result<(), OpenChatError> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| OpenChatError::Folder { path: path.into(), source })
}

//! The two tasks in the background: one answers questions, one brings what was committed to the
//! mailbox. Both find their work in the database, so a restart needs no more than starting them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::{TryStreamExt as _, future::join_all};
use tetherline_protocol::{UserId, frame::Message};
use tetherline_server::{PublishError, Server, store::AppendError};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::sleep,
};

use crate::{
    clock::now_ms,
    database::{Database, DatabaseError},
    jobs::{self, Job, Publication},
    limits::{ANSWERS_AT_ONCE_MAX, OUTBOX_RETRY_BASE, OUTBOX_RETRY_CAP},
    responder::Responder,
};

/// How others say that there is work. A wake is a hint; the database knows what there is to do.
#[derive(Default)]
pub(crate) struct Wakes {
    pub(crate) answerer: Notify,
    pub(crate) publisher: Notify,
}

/// Answers questions until it is aborted, a bounded number at a time.
pub(crate) async fn answer_questions(
    database: Database,
    responder: Arc<Responder>,
    wakes: Arc<Wakes>,
) {
    let at_once = Arc::new(Semaphore::new(ANSWERS_AT_ONCE_MAX));
    let mut pause = Pause::default();
    // Dropped with this task, which ends the answers under way; they are begun again at a start.
    let mut answers = JoinSet::new();
    while let Ok(permit) = Arc::clone(&at_once).acquire_owned().await {
        while answers.try_join_next().is_some() {}
        match database.write(jobs::claim).await {
            Ok(Some(job)) => {
                let (database, responder, wakes) =
                    (database.clone(), Arc::clone(&responder), Arc::clone(&wakes));
                answers.spawn(answer(database, responder, wakes, job, permit));
                pause = Pause::default();
            }
            Ok(None) => wakes.answerer.notified().await,
            Err(DatabaseError::Closed) => return,
            Err(error) => {
                tracing::error!(%error, "cannot look for questions");
                pause.wait().await;
            }
        }
    }
}

async fn answer(
    database: Database,
    responder: Arc<Responder>,
    wakes: Arc<Wakes>,
    job: Job,
    _permit: OwnedSemaphorePermit,
) {
    let outcome = responder.answer(job.turns.clone()).try_collect().await;
    let job = Arc::new(job);
    let mut pause = Pause::default();
    loop {
        let (job, outcome) = (Arc::clone(&job), outcome.clone());
        let finished = database
            .write(move |transaction| jobs::finish(transaction, &job, outcome, now_ms()))
            .await;
        match finished {
            Ok(()) => break,
            Err(DatabaseError::Closed) => return,
            Err(error) => {
                tracing::error!(%error, "an answer could not be stored; trying again");
                pause.wait().await;
            }
        }
    }
    wakes.publisher.notify_one();
    // The next question of this conversation, or of this person, may have waited for this one.
    wakes.answerer.notify_one();
}

/// Appends what was committed to the mailbox until it is aborted; in order for each person.
pub(crate) async fn publish_outbox(database: Database, server: Server, wakes: Arc<Wakes>) {
    let mut pause = Pause::default();
    loop {
        match publish_page(&database, &server).await {
            Ok(Progress::Empty) => wakes.publisher.notified().await,
            Ok(Progress::Sent) => pause = Pause::default(),
            Ok(Progress::Stuck) => pause.wait().await,
            Err(DatabaseError::Closed) => return,
            Err(error) => {
                tracing::error!(%error, "cannot read the outbox");
                pause.wait().await;
            }
        }
    }
}

enum Progress {
    Empty,
    Sent,
    Stuck,
}

async fn publish_page(database: &Database, server: &Server) -> Result<Progress, DatabaseError> {
    let page = database.read(jobs::unsent).await?;
    if page.is_empty() {
        return Ok(Progress::Empty);
    }
    let mut by_user: BTreeMap<String, Vec<Publication>> = BTreeMap::new();
    for publication in page {
        by_user.entry(publication.user.clone()).or_default().push(publication);
    }
    let outcomes =
        join_all(by_user.into_values().map(|of_user| publish_all(server, of_user))).await;
    let stuck = outcomes.iter().any(|(_, stuck)| *stuck);
    let sent: Vec<i64> = outcomes.into_iter().flat_map(|(sent, _)| sent).collect();
    if !sent.is_empty() {
        database.write(move |transaction| jobs::sent(transaction, &sent)).await?;
    }
    Ok(if stuck { Progress::Stuck } else { Progress::Sent })
}

/// What is struck off, and whether the rest has to wait for the mailbox.
async fn publish_all(server: &Server, publications: Vec<Publication>) -> (Vec<i64>, bool) {
    let mut sent = Vec::new();
    for publication in publications {
        match publish(server, &publication).await {
            Ok(()) => sent.push(publication.position),
            Err(Trouble::Mailbox(error)) => {
                tracing::warn!(%error, "the mailbox does not take a publication; trying again");
                return (sent, true);
            }
            // Trying again would block everything behind it for ever. The row of the history is
            // there, so the person finds the message on the next load.
            Err(Trouble::Ours(error)) => {
                tracing::error!(%error, key = publication.key, "a publication is impossible");
                sent.push(publication.position);
            }
        }
    }
    (sent, false)
}

enum Trouble {
    Mailbox(PublishError),
    Ours(String),
}

async fn publish(server: &Server, publication: &Publication) -> Result<(), Trouble> {
    let ours = |error: &dyn std::fmt::Display| Trouble::Ours(error.to_string());
    let user: UserId = publication.user.parse().map_err(|error| ours(&error))?;
    let key = publication.key.parse().map_err(|error| ours(&error))?;
    let message = Message::parse(&publication.frame).map_err(|error| ours(&error))?;
    match server.publish(&user, Some(&key), message).await {
        Ok(_) => Ok(()),
        Err(error @ PublishError::Append(AppendError::Store(_))) => Err(Trouble::Mailbox(error)),
        Err(error) => Err(ours(&error)),
    }
}

/// Pauses that double up to a cap.
struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Self(OUTBOX_RETRY_BASE)
    }
}

impl Pause {
    async fn wait(&mut self) {
        sleep(self.0).await;
        self.0 = (self.0 * 2).min(OUTBOX_RETRY_CAP);
    }
}

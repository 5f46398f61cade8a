//! Bringing what was committed to the mailbox: messages, and the ends of answers.

use std::{collections::BTreeMap, fmt::Display, sync::Arc};

use futures_util::future::join_all;
use tetherline_protocol::{Seq, StreamStatus, UserId, frame::Message};
use tetherline_server::{
    PublishError, Server,
    store::{AppendError, FinishStreamError},
};

use super::{Pause, Wakes};
use crate::trouble::{IMPOSSIBLE, MAILBOX, OUTBOX};
use crate::{
    clock::now_ms,
    database::{Database, DatabaseError},
    jobs::{self, Ending, Publication, Sent},
};

/// Brings everything to the mailbox until it is aborted; in order for each person.
pub(crate) async fn publish_outbox(database: Database, server: Server, wakes: Arc<Wakes>) {
    let mut pause = Pause::default();
    loop {
        match publish_page(&database, &server).await {
            Ok(Progress::Empty) => wakes.publisher.notified().await,
            Ok(Progress::Sent) => {
                OUTBOX.over();
                MAILBOX.over();
                pause = Pause::default();
            }
            Ok(Progress::Stuck) => pause.wait().await,
            Err(DatabaseError::Closed) => return,
            Err(error) => {
                OUTBOX.error("cannot read the outbox", &error);
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
    let sent: Vec<Sent> = outcomes.into_iter().flat_map(|(sent, _)| sent).collect();
    if !sent.is_empty() {
        database.write(move |transaction| jobs::sent(transaction, &sent, now_ms())).await?;
    }
    Ok(if stuck { Progress::Stuck } else { Progress::Sent })
}

/// What is struck off, and whether the rest has to wait for the mailbox.
async fn publish_all(server: &Server, publications: Vec<Publication>) -> (Vec<Sent>, bool) {
    let mut sent = Vec::new();
    for publication in publications {
        let position = publication.position;
        match bring(server, &publication).await {
            Ok((seq, status)) => {
                let answer = publication.ending.map(|ending| ending.message_uuid);
                let ended = answer.zip(status);
                let ended = ended.map(|(answer, status)| (publication.user, answer, status));
                sent.push(Sent { position, seq, ended });
            }
            Err(Trouble::Mailbox(error)) => {
                MAILBOX.warn("the mailbox does not take a publication; trying again", &error);
                return (sent, true);
            }
            // Trying again would block everything behind it for ever. The row of the history is
            // there, so the person finds the message on the next load.
            Err(Trouble::Ours(error)) => {
                let why = format_args!("{}: {error}", publication.key);
                IMPOSSIBLE.error("a publication is impossible", &why);
                sent.push(Sent { position, seq: None, ended: None });
            }
        }
    }
    (sent, false)
}

enum Trouble {
    Mailbox(String),
    Ours(String),
}

impl Trouble {
    fn ours(error: impl Display) -> Self {
        Self::Ours(error.to_string())
    }
}

/// Answers where it is, and how an answer ended, if it is one's end.
async fn bring(
    server: &Server,
    publication: &Publication,
) -> Result<(Option<Seq>, Option<StreamStatus>), Trouble> {
    let user: UserId = publication.user.parse().map_err(Trouble::ours)?;
    if let Some(ending) = &publication.ending {
        match end(server, &user, ending).await? {
            // What a restored mailbox has of it may be less than there was, so it follows whole.
            Ended::As { .. } if publication.is_again => {}
            Ended::As { seq, status } => return Ok((Some(seq), Some(status))),
            Ended::Superseded => return Ok((None, None)),
            Ended::Unknown => {}
        }
    }
    Ok((Some(publish(server, &user, publication).await?), None))
}

enum Ended {
    As {
        seq: Seq,
        status: StreamStatus,
    },
    /// A later attempt has begun; the row will be its.
    Superseded,
    /// The mailbox was erased or restored, and the answer with it; the message is kept all the same.
    Unknown,
}

async fn end(server: &Server, user: &UserId, ending: &Ending) -> Result<Ended, Trouble> {
    let parsed = ending.parse().ok_or_else(|| Trouble::ours("an ending that is none"))?;
    let (message_uuid, attempt, ending) = parsed;
    match server.finish_stream(user, &message_uuid, attempt, ending).await {
        Ok(finished) => Ok(Ended::As { seq: finished.seq, status: finished.status }),
        Err(FinishStreamError::Unknown) => Ok(Ended::Unknown),
        Err(FinishStreamError::Superseded { .. }) => Ok(Ended::Superseded),
        Err(FinishStreamError::Append(AppendError::Store(error))) => {
            Err(Trouble::Mailbox(error.to_string()))
        }
        Err(error) => Err(Trouble::ours(error)),
    }
}

async fn publish(
    server: &Server,
    user: &UserId,
    publication: &Publication,
) -> Result<Seq, Trouble> {
    let key = publication.key.parse().map_err(Trouble::ours)?;
    let message = Message::parse(&publication.frame).map_err(Trouble::ours)?;
    match server.publish(user, Some(&key), message).await {
        Ok(published) => Ok(published.seq),
        Err(PublishError::Append(AppendError::Store(error))) => {
            Err(Trouble::Mailbox(error.to_string()))
        }
        Err(error) => Err(Trouble::ours(error)),
    }
}

//! Writing answers: from the job to the row that holds what became of it.

use std::{
    fmt::Display,
    pin::{Pin, pin},
    sync::Arc,
};

use futures_util::{
    StreamExt as _, TryStreamExt as _,
    future::{Either, select},
    stream::Peekable,
};
use rusqlite::Transaction;
use tetherline_protocol::{StreamStatus, utf16};
use tetherline_server::{
    PipeError, Server, StreamWriter,
    store::{AppendTextError, StreamPhase, StreamState},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};

use super::{Pause, Stops, Wakes, stops::Listening};
use crate::trouble::{ANSWERS, QUESTIONS};
use crate::{
    clock::now_ms,
    database::{Database, DatabaseError},
    history::Failure,
    jobs::{self, Job, Outcome, Turn},
    limits::ANSWERS_AT_ONCE_MAX,
    responder::{Pieces, Responder},
};

/// What it takes to answer.
pub(crate) struct Answering {
    pub(crate) database: Database,
    pub(crate) server: Server,
    pub(crate) responder: Responder,
    pub(crate) wakes: Arc<Wakes>,
    pub(crate) stops: Arc<Stops>,
}

/// Answers questions until it is aborted, a bounded number at a time.
pub(crate) async fn answer_questions(answering: Arc<Answering>) {
    let at_once = Arc::new(Semaphore::new(ANSWERS_AT_ONCE_MAX));
    let mut pause = Pause::default();
    // Dropped with this task, which lets go of its streams; the next start ends them.
    let mut answers = JoinSet::new();
    loop {
        while answers.try_join_next().is_some() {}
        // Without room there is still what only has to be said to be stopped.
        let permit = Arc::clone(&at_once).try_acquire_owned().ok();
        let has_room = permit.is_some();
        match answering.database.write(move |transaction| jobs::claim(transaction, has_room)).await
        {
            Ok(Some((job, turns))) => {
                QUESTIONS.over();
                answers.spawn(Arc::clone(&answering).answer(job, turns, permit));
                pause = Pause::default();
            }
            Ok(None) => answering.wakes.answerer.notified().await,
            Err(DatabaseError::Closed) => return,
            Err(error) => {
                QUESTIONS.error("cannot look for questions", &error);
                pause.wait().await;
            }
        }
    }
}

/// How the writing ended, as far as the writer can tell.
#[derive(Debug)]
enum End {
    Whole,
    /// It is complete, and less than it could have been.
    Cut(Failure),
    /// Somebody does not want more.
    Stopped,
    Failed(Failure),
    /// The answer took no more text. Why is in its state, if it still has one.
    Refused(AppendTextError),
}

impl Answering {
    async fn answer(
        self: Arc<Self>,
        job: Job,
        turns: Vec<Turn>,
        permit: Option<OwnedSemaphorePermit>,
    ) {
        let stop = self.stops.listen(job.position);
        // Whatever else went wrong is waited for, so an error means that everything ends here.
        let Ok(outcome) = self.write(&job, turns, &stop).await else { return };
        let done = Arc::new((job, outcome));
        let finished = patiently(&self.database, move |transaction| {
            jobs::finish(transaction, &done.0, &done.1, now_ms())
        });
        if finished.await.is_err() {
            return;
        }
        self.wakes.publisher.notify_one();
        // The next question of this branch, or of this person, may have waited for this one.
        drop(permit);
        self.wakes.answerer.notify_one();
    }

    /// Writes the answer into the mailbox, as it comes.
    async fn write(
        &self,
        job: &Job,
        turns: Vec<Turn>,
        stop: &Listening,
    ) -> Result<Outcome, DatabaseError> {
        let mut pieces = Box::pin(self.responder.answer(turns).peekable());
        let (mut writer, is_stopped) = self.begin(job, pieces.as_mut()).await?;
        let mut said = String::new();
        let end = if is_stopped {
            End::Stopped
        } else {
            let heard = pieces.inspect_ok(|piece| said.push_str(piece));
            // Dropping what is read lets go of the provider.
            match select(pin!(stop.told()), pin!(writer.pipe(heard))).await {
                Either::Left(_) => End::Stopped,
                Either::Right((piped, _)) => end_of(piped),
            }
        };
        let state = self.state_of(job).await;
        let written = utf16::byte_index(&said, writer.next_offset()).unwrap_or(said.len());
        said.truncate(written);
        let (status, text, failure) = what_became_of(&writer, end, state, said);
        Ok(Outcome { attempt: writer.attempt(), status, text, failure })
    }

    /// Opens the answer and notes so. The provider is asked meanwhile, unless nobody wants to know.
    async fn begin(
        &self,
        job: &Job,
        pieces: Pin<&mut Peekable<Pieces>>,
    ) -> Result<(StreamWriter, bool), DatabaseError> {
        let begun = async {
            let writer = self.open(job).await;
            let (position, attempt) = (job.position, writer.attempt());
            let is_stopped = patiently(&self.database, move |transaction| {
                jobs::begun(transaction, position, attempt)
            });
            let is_stopped = is_stopped.await? || writer.is_stopped();
            Ok((writer, is_stopped))
        };
        if job.is_stopped {
            return begun.await;
        }
        match select(pin!(begun), pieces.peek()).await {
            Either::Left((begun, _)) => begun,
            Either::Right((_, begun)) => begun.await,
        }
    }

    /// Keeps trying: the person waits for an answer, and everything behind it would fail as well.
    async fn open(&self, job: &Job) -> StreamWriter {
        let mut pause = Pause::default();
        loop {
            let opening = job.opening().expect("its fields are ids and numbers of ours");
            match self.server.open_stream(&job.user, opening).await {
                Ok(writer) => {
                    ANSWERS.over();
                    return writer;
                }
                Err(error) => {
                    ANSWERS.warn("an answer cannot be begun; trying again", &error);
                    pause.wait().await;
                }
            }
        }
    }

    async fn state_of(&self, job: &Job) -> Option<StreamState> {
        let mut pause = Pause::default();
        loop {
            match self.server.stream(&job.user, &job.answer).await {
                Ok(state) => return state,
                Err(error) => {
                    ANSWERS.warn("an answer cannot be read; trying again", &error);
                    pause.wait().await;
                }
            }
        }
    }
}

/// Repeats what the database did not take. Only one that is closed makes an end of it.
async fn patiently<T: Send + 'static>(
    database: &Database,
    operation: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Clone + Send + 'static,
) -> Result<T, DatabaseError> {
    let mut pause = Pause::default();
    loop {
        match database.write(operation.clone()).await {
            Err(DatabaseError::Sqlite(error)) => {
                ANSWERS.error("an answer cannot be noted; trying again", &error);
                pause.wait().await;
            }
            outcome => return outcome,
        }
    }
}

fn end_of(piped: Result<(), PipeError<Failure>>) -> End {
    match piped {
        Ok(()) => End::Whole,
        Err(PipeError::Source(failure)) if failure.is_cut() => End::Cut(failure),
        Err(PipeError::Source(failure)) => End::Failed(failure),
        Err(PipeError::Text(error)) => End::Refused(error),
        Err(_) => End::Failed(not_stored(&"it could not be added")),
    }
}

/// The state decides where there is one, so that the row says what people saw. Where there is none
/// (the mailbox was erased, say), what was written counts.
fn what_became_of(
    writer: &StreamWriter,
    end: End,
    state: Option<StreamState>,
    said: String,
) -> (StreamStatus, String, Option<Failure>) {
    let state = state.filter(|state| state.attempt == writer.attempt());
    let (text, phase) = match state {
        Some(StreamState { phase: phase @ StreamPhase::Finished(_), .. }) => (said, Some(phase)),
        Some(state) => (state.text.into(), Some(state.phase)),
        None => (said, None),
    };
    let (status, failure) = match (phase, end) {
        (Some(StreamPhase::Stopped), _) | (_, End::Stopped) => (StreamStatus::Stopped, None),
        (Some(StreamPhase::Finished(status)), _) => (status, None),
        (_, End::Whole) => (StreamStatus::Complete, None),
        (_, End::Cut(failure)) => (StreamStatus::Complete, Some(failure)),
        (_, End::Failed(failure)) => (StreamStatus::Failed, Some(failure)),
        (_, End::Refused(AppendTextError::Unknown | AppendTextError::Superseded { .. })) => {
            (StreamStatus::Interrupted, Some(interrupted()))
        }
        (_, End::Refused(error)) => (StreamStatus::Failed, Some(not_stored(&error))),
    };
    (status, text, failure)
}

/// For the person who asked, when an answer broke off.
pub(super) fn interrupted() -> Failure {
    Failure {
        code: "interrupted".into(),
        message: "This answer was interrupted before its end. Try again.".into(),
    }
}

fn not_stored(error: &dyn Display) -> Failure {
    ANSWERS.error("an answer took no more text", error);
    Failure {
        code: "not_stored".into(),
        message: "The rest of this answer could not be stored. Try again in a moment.".into(),
    }
}

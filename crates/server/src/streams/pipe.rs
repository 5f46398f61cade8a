use std::{pin::pin, time::Duration};

use futures_util::{
    FutureExt as _, StreamExt as _,
    future::{BoxFuture, Either, select},
    stream::{Fuse, Stream},
};
use tetherline_protocol::limits::STREAM_PIECE_BYTES_MAX;

use super::StreamWriter;
use crate::store::AppendTextError;

/// The first wait before text is added again that the store did not take just now; it doubles.
const RETRY_WAIT: Duration = Duration::from_millis(50);
/// The longest such wait.
const RETRY_WAIT_MAX: Duration = Duration::from_secs(2);
/// How often it is tried again in a row, which is for about half a minute.
const RETRIES_MAX: u32 = 20;

/// Why text did not get all the way from its source into the stream.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PipeError<E> {
    /// The source failed; everything before is added.
    #[error("the source of the text failed: {0}")]
    Source(E),
    /// The stream took no more.
    #[error(transparent)]
    Text(AppendTextError),
}

/// An append under way, which gives its pieces back.
type Appending = BoxFuture<'static, (Vec<String>, Result<u64, AppendTextError>)>;

/// What has come and is not added yet.
#[derive(Default)]
struct Gathered {
    pieces: Vec<String>,
    bytes: usize,
    /// Together they were too long for the stream: it takes those that fit.
    is_one_by_one: bool,
}

impl Gathered {
    fn push(&mut self, piece: String) {
        self.bytes += piece.len();
        self.pieces.push(piece);
    }

    /// What is added together.
    fn take(&mut self) -> Vec<String> {
        let count = if self.is_one_by_one { 1 } else { self.pieces.len() };
        let pieces: Vec<String> = self.pieces.drain(..count.min(self.pieces.len())).collect();
        self.bytes -= pieces.iter().map(String::len).sum::<usize>();
        pieces
    }

    fn add_one_by_one(&mut self, pieces: Vec<String>) {
        self.is_one_by_one = true;
        self.bytes += pieces.iter().map(String::len).sum::<usize>();
        self.pieces.splice(0..0, pieces);
    }
}

impl StreamWriter {
    /// Adds all that comes out of a source, piece by piece. What comes while a commit is under way is
    /// added with the next, and a source that is faster than the disk is read no further than
    /// [`STREAM_PIECE_BYTES_MAX`] ahead. A store that is out of order is waited for, about half a minute.
    pub async fn pipe<E>(
        &mut self,
        pieces: impl Stream<Item = Result<String, E>>,
    ) -> Result<(), PipeError<E>> {
        let mut pieces = pin!(pieces.fuse());
        let mut gathered = Gathered::default();
        let mut appending: Option<Appending> = None;
        let mut failed = None;
        let mut retries = Retries::default();
        loop {
            if appending.is_none() && gathered.bytes > 0 {
                appending = Some(self.begin(gathered.take(), None));
            }
            // Behind its failure a source is not listened to.
            let has_room = failed.is_none() && gathered.bytes < STREAM_PIECE_BYTES_MAX;
            match next(&mut appending, &mut pieces, has_room).await {
                Event::Piece(Some(Ok(piece))) => gathered.push(piece),
                Event::Piece(Some(Err(error))) => failed = Some(error),
                Event::Appended(_, Ok(end)) => {
                    self.next_offset = end;
                    retries = Retries::default();
                }
                Event::Appended(pieces, Err(AppendTextError::TooLong { .. }))
                    if pieces.len() > 1 =>
                {
                    gathered.add_one_by_one(pieces);
                }
                Event::Appended(pieces, Err(error)) => {
                    let wait = retries.next(&error).ok_or(PipeError::Text(error))?;
                    appending = Some(self.begin(pieces, Some(wait)));
                }
                Event::Piece(None) => {}
            }
            let is_through = failed.is_some() || pieces.is_done();
            if is_through && appending.is_none() && gathered.bytes == 0 {
                return failed.map_or(Ok(()), |error| Err(PipeError::Source(error)));
            }
        }
    }

    fn begin(&self, pieces: Vec<String>, wait: Option<Duration>) -> Appending {
        let appended = self.appending(pieces.concat().into());
        async move {
            if let Some(wait) = wait {
                tokio::time::sleep(wait).await;
            }
            (pieces, appended.await)
        }
        .boxed()
    }
}

enum Event<E> {
    Piece(Option<Result<String, E>>),
    Appended(Vec<String>, Result<u64, AppendTextError>),
}

/// Whatever comes first: the next piece, if there is room for it, or the end of the append.
async fn next<E, S: Stream<Item = Result<String, E>>>(
    appending: &mut Option<Appending>,
    pieces: &mut std::pin::Pin<&mut Fuse<S>>,
    has_room: bool,
) -> Event<E> {
    let wants_more = has_room && !pieces.is_done();
    let Some(running) = appending else { return Event::Piece(pieces.next().await) };
    let (pieces_of_it, appended) = if wants_more {
        match select(running, pieces.next()).await {
            Either::Left((done, _)) => done,
            Either::Right((piece, _)) => return Event::Piece(piece),
        }
    } else {
        running.await
    };
    *appending = None;
    Event::Appended(pieces_of_it, appended)
}

#[derive(Default)]
struct Retries(u32);

impl Retries {
    /// How long to wait before the same is tried again, if that is worth it.
    fn next(&mut self, error: &AppendTextError) -> Option<Duration> {
        let passes = matches!(error, AppendTextError::Store(_) | AppendTextError::Crowded);
        if !passes || self.0 >= RETRIES_MAX {
            return None;
        }
        self.0 += 1;
        Some((RETRY_WAIT * 2_u32.pow(self.0.min(10) - 1)).min(RETRY_WAIT_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreError;

    #[test]
    fn a_store_that_is_out_of_order_is_waited_for_half_a_minute_and_a_refusal_is_not() {
        let broken = AppendTextError::Store(StoreError::new("no disk"));
        let mut retries = Retries::default();
        let waits: Vec<Duration> = std::iter::from_fn(|| retries.next(&broken)).collect();
        assert_eq!(waits.len(), RETRIES_MAX as usize);
        assert_eq!(waits[0], RETRY_WAIT);
        assert_eq!(waits.last(), Some(&RETRY_WAIT_MAX));
        let all: Duration = waits.into_iter().sum();
        assert!((25..35).contains(&all.as_secs()), "{all:?}");
        let stopped = AppendTextError::Stopped { next_offset: 3 };
        assert_eq!(Retries::default().next(&stopped), None);
    }
}

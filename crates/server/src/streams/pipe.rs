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

/// Why text did not get all the way from its source into the answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PipeError<E> {
    /// The source failed; everything before is added.
    #[error("the source of the text failed: {0}")]
    Source(E),
    /// The answer took no more.
    #[error(transparent)]
    Text(AppendTextError),
}

/// An append under way, which gives its text back.
type Appending = BoxFuture<'static, (Box<str>, Result<u64, AppendTextError>)>;

impl StreamWriter {
    /// Adds all that comes out of a source, piece by piece. What comes while a commit is under way is
    /// added with the next, and a source that is faster than the disk is read no further than
    /// [`STREAM_PIECE_BYTES_MAX`] ahead. A store that is out of order is waited for, about half a minute.
    pub async fn pipe<E>(
        &mut self,
        pieces: impl Stream<Item = Result<String, E>>,
    ) -> Result<(), PipeError<E>> {
        let mut pieces = pin!(pieces.fuse());
        let mut gathered = String::new();
        let mut appending: Option<Appending> = None;
        let mut failed = None;
        let mut retries = Retries::default();
        loop {
            if appending.is_none() && !gathered.is_empty() {
                appending = Some(self.begin(std::mem::take(&mut gathered).into(), None));
            }
            // Behind its failure a source is not listened to.
            let has_room = failed.is_none() && gathered.len() < STREAM_PIECE_BYTES_MAX;
            match next(&mut appending, &mut pieces, has_room).await {
                Event::Piece(Some(Ok(piece))) => gathered.push_str(&piece),
                Event::Piece(Some(Err(error))) => failed = Some(error),
                Event::Appended(_, Ok(end)) => {
                    self.next_offset = end;
                    retries = Retries::default();
                }
                Event::Appended(text, Err(error)) => {
                    let wait = retries.next(&error).ok_or(PipeError::Text(error))?;
                    appending = Some(self.begin(text, Some(wait)));
                }
                Event::Piece(None) => {}
            }
            let is_through = failed.is_some() || pieces.is_done();
            if is_through && appending.is_none() && gathered.is_empty() {
                return failed.map_or(Ok(()), |error| Err(PipeError::Source(error)));
            }
        }
    }

    fn begin(&self, text: Box<str>, wait: Option<Duration>) -> Appending {
        let appended = self.appending(text.clone());
        async move {
            if let Some(wait) = wait {
                tokio::time::sleep(wait).await;
            }
            (text, appended.await)
        }
        .boxed()
    }
}

enum Event<E> {
    Piece(Option<Result<String, E>>),
    Appended(Box<str>, Result<u64, AppendTextError>),
}

/// Whatever comes first: the next piece, if there is room for it, or the end of the append.
async fn next<E, S: Stream<Item = Result<String, E>>>(
    appending: &mut Option<Appending>,
    pieces: &mut std::pin::Pin<&mut Fuse<S>>,
    has_room: bool,
) -> Event<E> {
    let wants_more = has_room && !pieces.is_done();
    let Some(running) = appending else { return Event::Piece(pieces.next().await) };
    let (text, appended) = if wants_more {
        match select(running, pieces.next()).await {
            Either::Left((done, _)) => done,
            Either::Right((piece, _)) => return Event::Piece(piece),
        }
    } else {
        running.await
    };
    *appending = None;
    Event::Appended(text, appended)
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

//! Reading what a request brings: bounded for each, bounded for all together, and never for ever.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::body::{Body, HttpBody as _};
use bytes::{Bytes, BytesMut};
use futures_util::future::poll_fn;
use http::{HeaderMap, StatusCode, header};
use tetherline_protocol::ErrorCode;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

use super::{answer::Problem, publish::RETRY};

/// All requests that have not come to their end together, in bytes.
pub const REQUEST_BODIES_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How often it is looked whether a body moves.
pub const BODY_PROGRESS_TIMEOUT: Duration = Duration::from_secs(10);
/// What has to come of a body in that time, in bytes, unless it ends before.
pub const BODY_PROGRESS_BYTES_MIN: usize = 16 * 1024;

/// Why a request's body was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// Over the limit, which is given here; nothing more of it was read.
    #[error("the body is larger than {bytes_max} bytes")]
    TooLarge {
        /// The limit.
        bytes_max: usize,
    },
    /// It has a `Content-Encoding` other than `identity`.
    #[error("the body is compressed; send it as it is, without a Content-Encoding")]
    Encoded,
    /// Less than [`BODY_PROGRESS_BYTES_MIN`] came within [`BODY_PROGRESS_TIMEOUT`].
    #[error(
        "the body came too slowly: less than {BODY_PROGRESS_BYTES_MIN} bytes in {BODY_PROGRESS_TIMEOUT:?}; send it again"
    )]
    TooSlow,
    /// The peer left, or sent what is no HTTP.
    #[error("the request broke off")]
    BrokenOff,
    /// Too much of other requests is waited for.
    #[error("the server waits for too much of other requests; try again in a moment")]
    Crowded,
}

/// The room that all unfinished requests of a server share.
#[derive(Debug, Clone)]
pub(crate) struct Bodies {
    room: Arc<Semaphore>,
    bytes_max: Arc<AtomicUsize>,
}

/// What one request occupies of it. The room is given back when this is dropped.
#[derive(Debug)]
pub(super) struct Room {
    bodies: Bodies,
    held: Option<OwnedSemaphorePermit>,
}

impl Bodies {
    /// The largest single body always has room.
    pub(crate) fn new(bytes_max: usize, body_bytes_max: usize) -> Self {
        let bytes = bytes_max.max(body_bytes_max).min(Semaphore::MAX_PERMITS);
        Self { room: Arc::new(Semaphore::new(bytes)), bytes_max: Arc::new(bytes.into()) }
    }

    /// The largest single body is to be this large.
    pub(crate) fn have_room_for(&self, body_bytes_max: usize) {
        let wanted = body_bytes_max.min(Semaphore::MAX_PERMITS);
        let before = self.bytes_max.fetch_max(wanted, Ordering::Relaxed);
        self.room.add_permits(wanted.saturating_sub(before));
    }

    /// What is taken of the room, and how much there is.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        let bytes_max = self.bytes_max.load(Ordering::Relaxed);
        // Room that is being added may be there before it is counted, or after.
        let taken = bytes_max.saturating_sub(self.room.available_permits());
        (taken as u64, bytes_max as u64)
    }

    /// A whole body of bounded size. What a peer announces is set aside before anything is read;
    /// what it does not announce, as it comes.
    pub(crate) async fn read(
        &self,
        headers: &HeaderMap,
        mut body: Body,
        bytes_max: usize,
    ) -> Result<Bytes, BodyError> {
        check_coding(headers)?;
        let hint = body.size_hint();
        let announced = hint.exact().map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        let too_large = BodyError::TooLarge { bytes_max };
        if announced.is_some_and(|bytes| bytes > bytes_max) {
            return Err(too_large);
        }
        let mut room = self.room();
        room.grow(announced.unwrap_or(0))?;
        let mut pace = Pace::begin();
        let mut whole = BytesMut::new();
        while let Some(data) = pace.next(&mut body).await? {
            if whole.len() + data.len() > bytes_max {
                return Err(too_large);
            }
            if announced.is_none() {
                room.grow(data.len())?;
            }
            whole.extend_from_slice(&data);
        }
        Ok(whole.freeze())
    }

    pub(super) fn room(&self) -> Room {
        Room { bodies: self.clone(), held: None }
    }
}

impl Room {
    pub(super) fn grow(&mut self, bytes: usize) -> Result<(), BodyError> {
        if bytes == 0 {
            return Ok(());
        }
        let permits = u32::try_from(bytes).map_err(|_| BodyError::Crowded)?;
        let more = self.bodies.room.clone().try_acquire_many_owned(permits);
        let more = more.map_err(|_| BodyError::Crowded)?;
        match &mut self.held {
            Some(held) => held.merge(more),
            None => self.held = Some(more),
        }
        Ok(())
    }

    /// Gives back all but this much.
    pub(super) fn shrink_to(&mut self, bytes: usize) {
        let held = self.held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let surplus = held.saturating_sub(bytes);
        drop(self.held.as_mut().and_then(|held| held.split(surplus)));
    }
}

/// Whether a body that has to come at once does.
struct Pace {
    until: Instant,
    bytes: usize,
}

impl Pace {
    fn begin() -> Self {
        Self { until: Instant::now() + BODY_PROGRESS_TIMEOUT, bytes: 0 }
    }

    async fn next(&mut self, body: &mut Body) -> Result<Option<Bytes>, BodyError> {
        loop {
            let came = timeout_at(self.until, data(body)).await;
            if Instant::now() >= self.until {
                if self.bytes < BODY_PROGRESS_BYTES_MIN && !matches!(came, Ok(Ok(None))) {
                    return Err(BodyError::TooSlow);
                }
                *self = Self::begin();
            }
            if let Ok(came) = came {
                self.bytes += came.as_ref().ok().and_then(Option::as_ref).map_or(0, Bytes::len);
                return came;
            }
        }
    }
}

/// The next bytes of a body, `None` at its end.
pub(super) async fn data(body: &mut Body) -> Result<Option<Bytes>, BodyError> {
    loop {
        match poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await {
            None => return Ok(None),
            Some(Err(_)) => return Err(BodyError::BrokenOff),
            Some(Ok(frame)) => {
                // Trailers say nothing that anybody asked for.
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

pub(super) fn check_coding(headers: &HeaderMap) -> Result<(), BodyError> {
    let mut codings = headers.get_all(header::CONTENT_ENCODING).iter();
    let is_plain =
        codings.all(|coding| coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity"));
    if is_plain { Ok(()) } else { Err(BodyError::Encoded) }
}

impl BodyError {
    /// As it is told where the limit has another name than that of messages.
    pub(super) fn of(self, limit: &str) -> Problem {
        match self {
            Self::TooLarge { bytes_max } => {
                let message = format!("The body is larger than {limit}, {bytes_max} bytes.");
                let status = StatusCode::PAYLOAD_TOO_LARGE;
                Problem::new(status, ErrorCode::MessageTooLarge, message)
            }
            error => error.into(),
        }
    }
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        let message = match error {
            BodyError::TooLarge { bytes_max } => {
                format!("The message is larger than publish_bytes_max, {bytes_max} bytes.")
            }
            _ => sentence(&error.to_string()),
        };
        match error {
            BodyError::TooLarge { .. } => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::MessageTooLarge, message)
            }
            BodyError::Encoded => {
                Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, ErrorCode::BadFrame, message)
                    .field("Content-Encoding")
                    .header(header::ACCEPT_ENCODING, http::HeaderValue::from_static("identity"))
            }
            BodyError::TooSlow => {
                Self::new(StatusCode::REQUEST_TIMEOUT, ErrorCode::Unavailable, message)
                    .retry_after(RETRY)
            }
            BodyError::BrokenOff => Self::new(StatusCode::BAD_REQUEST, ErrorCode::BadJson, message),
            BodyError::Crowded => Self::unavailable(message, RETRY),
        }
    }
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    first.chain(letters).chain(['.']).collect()
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, time::Duration};

    use futures_util::{StreamExt as _, stream};

    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    /// A body of so many bytes at a time, with so long in between.
    fn body(bytes: usize, pause: Duration, pieces: usize) -> Body {
        let pieces = stream::iter(0..pieces).then(move |_| async move {
            tokio::time::sleep(pause).await;
            Ok::<_, Infallible>(Bytes::from(vec![b' '; bytes]))
        });
        Body::from_stream(pieces)
    }

    async fn read(body: Body) -> Result<usize, BodyError> {
        let bodies = Bodies::new(REQUEST_BODIES_BYTES_MAX, 0);
        bodies.read(&HeaderMap::new(), body, 1024 * 1024).await.map(|bytes| bytes.len())
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_moves_is_waited_for_and_one_that_trickles_or_stops_is_not() {
        let second = Duration::from_secs(1);
        let enough = BODY_PROGRESS_BYTES_MIN / 9;
        assert_eq!(read(body(enough + 1, second, 500)).await, Ok((enough + 1) * 500));
        assert_eq!(read(body(1, second, 500)).await, Err(BodyError::TooSlow));
        assert_eq!(read(body(64 * 1024, HOUR, 2)).await, Err(BodyError::TooSlow));
        // Short of the end, there is nothing to be said against a small one.
        assert_eq!(read(body(1, second, 9)).await, Ok(9));
    }

    #[tokio::test]
    async fn what_waits_together_is_bounded_and_given_back() {
        let bodies = Bodies::new(1_000, 10);
        let (mut one, mut other) = (bodies.room(), bodies.room());
        one.grow(600).unwrap();
        other.grow(400).unwrap();
        assert_eq!(other.grow(1), Err(BodyError::Crowded));
        one.shrink_to(599);
        other.grow(1).unwrap();
        let read = bodies.read(&HeaderMap::new(), Body::from("x"), 10).await;
        assert_eq!(read, Err(BodyError::Crowded));
        drop(other);
        let read = bodies.read(&HeaderMap::new(), Body::from("x"), 10).await;
        assert_eq!(read, Ok(Bytes::from("x")));
    }

    #[tokio::test]
    async fn one_body_of_the_largest_size_always_has_room() {
        let bodies = Bodies::new(10, 1_000);
        let large = || Body::from(vec![b'x'; 1_000]);
        assert_eq!(bodies.read(&HeaderMap::new(), large(), 1_000).await.unwrap().len(), 1_000);
    }
}

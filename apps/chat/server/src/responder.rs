//! Where answers come from, piece by piece.

mod built_in;
mod provider;

use std::time::Duration;

use futures_util::{
    StreamExt as _, TryStreamExt as _,
    stream::{self, BoxStream},
};

pub use provider::{InvalidProvider, Patience, Provider};

use crate::{history::Failure, jobs::Turn, limits::ANSWER_BYTES_MAX};

/// Something that answers questions.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Responder {
    /// Nothing is configured: a small responder that says so and shows what answers look like.
    BuiltIn {
        /// How long it pretends to think, so that the page's waiting state can be seen.
        delay: Duration,
        /// How long it rests between a few words and the next, so that they can be seen to come.
        pause: Duration,
    },
    /// A server that speaks `OpenAI`'s API.
    Provider(Provider),
}

/// An answer as it comes. It is given up by dropping it, and ends with its first failure; what came
/// before that stands.
pub(crate) type Pieces = BoxStream<'static, Result<String, Failure>>;

impl Responder {
    /// Begins to answer the last of the turns, once this is read from.
    pub(crate) fn answer(&self, turns: Vec<Turn>) -> Pieces {
        match self {
            Self::BuiltIn { delay, pause } => built_in::stream(&turns, *delay, *pause).boxed(),
            Self::Provider(provider) => bounded(
                provider
                    .clone()
                    .stream(turns)
                    .map_err(provider::ProviderError::into_failure)
                    .boxed(),
            ),
        }
    }
}

const CUT: &str = "\n\n*(The answer was longer than can be kept; the rest is cut off.)*";

/// Ends an answer that does not end by itself.
fn bounded(pieces: Pieces) -> Pieces {
    let begun = Some((pieces, ANSWER_BYTES_MAX));
    stream::unfold(begun, async |state| {
        let (mut pieces, room) = state?;
        let mut piece = match pieces.next().await? {
            Ok(piece) => piece,
            failed @ Err(_) => return Some((failed, None)),
        };
        if let Some(room) = room.checked_sub(piece.len()) {
            return Some((Ok(piece), Some((pieces, room))));
        }
        piece.truncate(piece.floor_char_boundary(room));
        piece.push_str(CUT);
        Some((Ok(piece), None))
    })
    .boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn whole(pieces: impl IntoIterator<Item = String>) -> String {
        let pieces: Vec<_> = pieces.into_iter().map(Ok).collect();
        bounded(stream::iter(pieces).boxed()).try_collect().await.unwrap()
    }

    #[tokio::test]
    async fn the_longest_answer_is_kept_whole_and_a_longer_one_says_that_it_is_cut() {
        let half = "x".repeat(ANSWER_BYTES_MAX / 2);
        let longest = whole([half.clone(), half.clone()]).await;
        assert_eq!(longest.len(), ANSWER_BYTES_MAX);
        assert!(!longest.contains(CUT));
        let cut = whole([half.clone(), half, "y".into(), "z".into()]).await;
        assert_eq!(cut, longest + CUT);
    }

    #[tokio::test]
    async fn an_answer_is_cut_between_characters() {
        let cut = whole(["x".into(), "ü".repeat(ANSWER_BYTES_MAX)]).await;
        assert_eq!(cut.len() - CUT.len(), ANSWER_BYTES_MAX - 1);
        assert!(cut.ends_with(CUT));
    }

    #[tokio::test]
    async fn an_endless_answer_is_read_no_further_than_it_is_kept() {
        let piece = || Ok::<_, Failure>("x".repeat(ANSWER_BYTES_MAX));
        let endless = stream::repeat_with(piece).boxed();
        assert_eq!(bounded(endless).count().await, 2);
    }
}

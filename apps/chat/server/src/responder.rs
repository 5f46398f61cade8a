//! Where answers come from.

mod built_in;
mod provider;

use std::time::Duration;

pub use provider::{InvalidProvider, Provider};

use crate::{history::Failure, jobs::Turn, limits::ANSWER_BYTES_MAX};

/// Something that answers questions.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Responder {
    /// Nothing is configured: a small responder that says so and shows what answers look like.
    BuiltIn {
        /// How long it pretends to think, so that the page's waiting state can be seen.
        delay: Duration,
    },
    /// A server that speaks `OpenAI`'s API.
    Provider(Provider),
}

impl Responder {
    /// The answer to the last of the turns.
    pub(crate) async fn answer(&self, turns: &[Turn]) -> Result<String, Failure> {
        match self {
            Self::BuiltIn { delay } => {
                tokio::time::sleep(*delay).await;
                Ok(built_in::answer(turns))
            }
            Self::Provider(provider) => provider
                .answer(turns)
                .await
                .map(bounded)
                .map_err(provider::ProviderError::into_failure),
        }
    }
}

fn bounded(mut answer: String) -> String {
    const CUT: &str = "\n\n*(The answer was longer than can be kept; the rest is cut off.)*";
    if answer.len() > ANSWER_BYTES_MAX {
        answer.truncate(answer.floor_char_boundary(ANSWER_BYTES_MAX - CUT.len()));
        answer.push_str(CUT);
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endless_answer_is_cut_and_says_so() {
        assert_eq!(bounded("short".into()), "short");
        let cut = bounded("ü".repeat(ANSWER_BYTES_MAX));
        assert!(cut.len() <= ANSWER_BYTES_MAX);
        assert!(cut.ends_with("cut off.)*"));
    }
}

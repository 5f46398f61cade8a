use axum::extract::{FromRequestParts, Path};
use http::request::Parts;
use serde::de::DeserializeOwned;

use super::answer::Problem;

/// The parts of a path that stand for something, each decoded once. What is no text then is refused as
/// everything else is.
pub(super) struct Segments<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Segments<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(segments) = Path::from_request_parts(parts, state).await.map_err(|_| {
            Problem::invalid("path", "The path is not UTF-8 after its percent-encoding is undone.")
        })?;
        Ok(Self(segments))
    }
}

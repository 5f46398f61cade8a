use std::{error::Error, fmt::Write as _, sync::Arc};

/// What an attempt met, in words for people.
pub(crate) type Trouble = Arc<str>;

/// An error with everything that led to it.
pub(crate) fn chain(error: &dyn Error) -> Trouble {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        // Some say their cause already.
        if !text.contains(&cause) {
            let _ = write!(text, ": {cause}");
        }
        source = error.source();
    }
    text.into()
}

use std::{error::Error, fmt};

/// An error with everything that led to it: "it broke: because of this: because of that".
pub fn chain(error: &dyn Error) -> impl fmt::Display {
    fmt::from_fn(move |formatter| {
        write!(formatter, "{error}")?;
        let mut source = error.source();
        while let Some(error) = source {
            write!(formatter, ": {error}")?;
            source = error.source();
        }
        Ok(())
    })
}

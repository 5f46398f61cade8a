use std::error::Error;

/// An error with everything that led to it: "it broke: because of this: because of that". What an error
/// says of its cause by itself is not said twice.
pub fn chain(error: &dyn Error) -> String {
    let mut said = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let text = error.to_string();
        if !said.contains(&text) {
            said.push_str(": ");
            said.push_str(&text);
        }
        source = error.source();
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Broken {
        #[error("it broke")]
        Silently(#[source] Box<Broken>),
        #[error("it broke: {0}")]
        Aloud(#[source] Box<Broken>),
        #[error("the disk is full")]
        Disk,
    }

    #[test]
    fn every_cause_is_said_once() {
        let silently = Broken::Silently(Broken::Disk.into());
        assert_eq!(chain(&silently), "it broke: the disk is full");
        assert_eq!(chain(&Broken::Aloud(Broken::Disk.into())), "it broke: the disk is full");
        assert_eq!(chain(&Broken::Disk), "the disk is full");
    }
}

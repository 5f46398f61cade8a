use std::error::Error;

/// An error with everything that led to it: "it broke: because of this: because of that". What an error
/// says of its cause by itself is not said twice.
pub fn chain(error: &dyn Error) -> String {
    let mut said = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let text = error.to_string();
        if !said.contains(without_number(&text)) {
            said.push_str(": ");
            said.push_str(&text);
        }
        source = error.source();
    }
    said
}

/// SQLite's libraries say the same once as it is and once with its number: "Error code 13: disk full".
fn without_number(text: &str) -> &str {
    text.strip_prefix("Error code ")
        .and_then(|rest| rest.split_once(": "))
        .filter(|(number, _)| number.bytes().all(|byte| byte.is_ascii_digit()))
        .map_or(text, |(_, words)| words)
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
        #[error("cannot copy: the disk is full; check the folder")]
        Advising(#[source] Box<Broken>),
        #[error("Error code {0}: {1}")]
        Numbered(u8, &'static str),
        #[error("the disk is full")]
        Disk,
    }

    #[test]
    fn every_cause_is_said_once() {
        let silently = Broken::Silently(Broken::Disk.into());
        assert_eq!(chain(&silently), "it broke: the disk is full");
        assert_eq!(chain(&Broken::Aloud(Broken::Disk.into())), "it broke: the disk is full");
        assert_eq!(chain(&Broken::Disk), "the disk is full");
        // What SQLite says was said once more, with its number.
        let copying = Broken::Advising(Broken::Numbered(13, "the disk is full").into());
        assert_eq!(chain(&copying), "cannot copy: the disk is full; check the folder");
        let silently = Broken::Silently(Broken::Numbered(26, "file is not a database").into());
        assert_eq!(chain(&silently), "it broke: Error code 26: file is not a database");
    }
}

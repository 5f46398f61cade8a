use std::process::ExitCode;

/// How a process ends. Scripts and supervisors go by the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It was done, or everything is as it should be.
    Done,
    /// It was not done, or something is wrong: a sentence on stderr says what.
    Failed,
    /// The command line, or the file of settings, is none: nothing was tried.
    Usage,
    /// It was done, and its answer could not be written: sysexits' `EX_IOERR`.
    OutputLost,
    /// A second signal ended it at once, and that was SIGINT.
    Interrupted,
    /// A second signal ended it at once, and that was SIGTERM.
    Terminated,
}

impl Exit {
    /// All that there are.
    pub const ALL: [Self; 6] = [
        Self::Done,
        Self::Failed,
        Self::Usage,
        Self::OutputLost,
        Self::Interrupted,
        Self::Terminated,
    ];

    /// The number.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::OutputLost => 74,
            // As shells say it: 128 and the signal's number.
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exit_code_is_documented_and_no_other() {
        let operations = include_str!("../../../docs/operations.md");
        let (_, section) = operations.split_once("\n## Exit codes\n").expect("it has a section");
        let section = section.split("\n## ").next().unwrap_or_default();
        let documented: Vec<u8> = section
            .lines()
            .filter_map(|line| line.strip_prefix("| ")?.split(' ').next()?.parse().ok())
            .collect();
        assert_eq!(documented, Exit::ALL.map(Exit::code));
    }

    #[cfg(feature = "clap")]
    #[test]
    fn a_command_line_that_is_none_ends_so_whoever_finds_out() {
        let complaint = clap::Error::new(clap::error::ErrorKind::UnknownArgument);
        assert_eq!(complaint.exit_code(), i32::from(Exit::Usage.code()));
    }
}

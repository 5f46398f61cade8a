//! Who carries the answers of a commit to those who wait: waking them one by one from the writer's thread
//! is a system call each, and one wake is enough for a task among theirs that wakes the others.

use tokio::{
    runtime::{Handle, RuntimeFlavor},
    sync::mpsc,
};

use super::commands::{Command, Done};

/// Commits whose answers are on their way. Those of one more are given by the writer itself.
const COMMITS_MAX: usize = 64;

pub(super) struct Replies {
    commits: Option<mpsc::Sender<Answers>>,
}

/// What came of the commands of a commit. Whoever has it last answers them.
pub(super) struct Answers(Vec<(Command, Done)>);

impl Replies {
    /// Nobody drives a runtime of one thread for its tasks' sake, so the writer answers there by itself.
    pub(super) fn start() -> Self {
        let runtime = Handle::try_current()
            .ok()
            .filter(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread);
        let commits = runtime.map(|runtime| {
            let (sender, mut commits) = mpsc::channel::<Answers>(COMMITS_MAX);
            runtime.spawn(async move { while commits.recv().await.is_some() {} });
            sender
        });
        Self { commits }
    }

    pub(super) fn give(&self, answers: Vec<(Command, Done)>) {
        let answers = Answers(answers);
        if answers.0.len() > 1
            && let Some(commits) = &self.commits
        {
            // One that is full, or gone, gives them back.
            let _ = commits.try_send(answers);
        }
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        for (command, done) in self.0.drain(..) {
            command.succeed(done);
        }
    }
}

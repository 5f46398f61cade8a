//! `tetherline`: a delivery server, and the tools to try it from a shell.
#![allow(clippy::doc_markdown, reason = "the comments on options are the help that people read")]

mod backup;
mod check;
mod config;
mod erase;
mod files;
mod health;
mod inspect;
mod keys;
mod papers;
mod printable;
mod publish;
mod serve;
mod settings;
mod sign_out;
mod tail;
mod token;
mod trace;

use std::process::ExitCode;

use clap::{ArgMatches, FromArgMatches as _, Parser, Subcommand};
use settings::{Reading, Settings, Unusable};
use tetherline_process::{Exit, command, complain, ended_by, finish, say_panics};
use tetherline_server::chain;

/// Gives the memory of large messages back to the system.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// One authenticated WebSocket per signed-in user, on which no message is lost or doubled.
///
/// Exit codes: 0 when it was done, 1 when it was not, 2 for a command line that is none, 74 when it was done and
/// its answer could not be written to stdout; 130 and 143 after a second SIGINT or SIGTERM, which ends it at once.
#[derive(Debug, Parser)]
#[command(name = "tetherline", version, about)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Deliver messages: /ws/user/{user} for clients, /v1/users/{user}/messages for publishers.
    Serve(Box<serve::Options>),
    /// Print every setting of `serve`, what it is and where that comes from; says whether the server would take it.
    Config(Box<config::Options>),
    /// Print a token with which a user may connect.
    Token(token::Options),
    /// Add, list and withdraw keys for publishers, while the server runs.
    Keys(keys::Options),
    /// Put one message into a user's mailbox; prints its id and position as JSON.
    Publish(publish::Options),
    /// Say what the server knows of a user, and why a message has not arrived.
    Inspect(inspect::Options),
    /// Follow a user's connections live.
    Trace(trace::Options),
    /// Forget everything about a user, for good.
    Erase(erase::Options),
    /// End the tokens of a user, or of one session, before their time.
    SignOut(sign_out::Options),
    /// Copy the mailboxes to a file, while the server runs.
    Backup(backup::Options),
    /// Read a mailbox file or a backup, and say what is wrong with it.
    Check(check::Options),
    /// Put such a copy in the place of a stopped server's mailboxes.
    Restore(backup::RestoreOptions),
    /// Print what arrives for a user, one frame a line; goes on over every reconnect.
    Tail(tail::Options),
    /// Ask a server whether it is ready.
    Health(health::Options),
    /// Print what a shell needs to complete this command line: `source <(tetherline completions bash)`.
    Completions(papers::CompletionOptions),
    /// Write manual pages.
    Man(papers::ManOptions),
}

#[tokio::main]
async fn main() -> ExitCode {
    say_panics();
    let (task, said, settings) = match arguments() {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    let result = match task {
        Task::Serve(options) => serve::run(*options, &said).await,
        Task::Config(options) => config::run(&options, &command::<Arguments>(), &said, &settings),
        Task::Token(options) => token::run(&options),
        Task::Keys(options) => keys::run(&options),
        Task::Publish(options) => publish::run(options).await,
        Task::Inspect(options) => inspect::run(options).await,
        Task::Trace(options) => trace::run(options).await,
        Task::Erase(options) => erase::run(options).await,
        Task::SignOut(options) => sign_out::run(options).await,
        Task::Backup(options) => backup::run(&options),
        Task::Check(options) => check::run(&options),
        Task::Restore(options) => backup::restore(&options),
        Task::Tail(options) => tail::run(options).await,
        Task::Health(options) => health::run(options).await,
        Task::Completions(options) => papers::completions(&options, command::<Arguments>()),
        Task::Man(options) => papers::man(&options, command::<Arguments>()),
    };
    let code = result.unwrap_or_else(|problem| {
        complain!("tetherline: {}", chain(problem.as_ref()));
        Exit::Failed.into()
    });
    finish();
    code
}

/// What `serve` is told by its files and the environment now, under the command line that it was started with.
fn serve_options() -> anyhow::Result<(serve::Options, Reading)> {
    let (task, said, _) = read().map_err(|wrong| anyhow::anyhow!("{}", wrong.in_a_line()))?;
    match task {
        Task::Serve(options) => {
            let reading = options.reading(&said);
            Ok((*options, reading))
        }
        _ => anyhow::bail!("this process does not serve"),
    }
}

/// The command line, with what a file of settings adds to it; or how to end.
fn arguments() -> Result<(Task, ArgMatches, Settings), ExitCode> {
    read().map_err(|wrong| match wrong {
        Wrong::File(unusable) => {
            complain!("tetherline: {unusable}");
            finish();
            Exit::Usage.into()
        }
        Wrong::Line { words, place } => {
            if let Some(place) = place {
                complain!("tetherline: this is said in {place}");
                finish();
            }
            ended_by(&words)
        }
    })
}

/// Why nothing can be carried out.
enum Wrong {
    File(Unusable),
    /// `place`: where a file says it.
    Line {
        words: clap::Error,
        place: Option<String>,
    },
}

impl Wrong {
    fn in_a_line(&self) -> String {
        let (words, place) = match self {
            Self::File(unusable) => return unusable.to_string(),
            Self::Line { words, place } => (words.to_string(), place),
        };
        let words = words.lines().next().unwrap_or_default().trim_start_matches("error: ");
        match place {
            Some(place) => format!("{place}: {words}"),
            None => words.to_owned(),
        }
    }
}

fn read() -> Result<(Task, ArgMatches, Settings), Wrong> {
    let command = command::<Arguments>();
    let (line, settings) =
        Settings::read(&command, std::env::args_os().collect()).map_err(Wrong::File)?;
    let parsed = command.clone().try_get_matches_from(line);
    let parsed = parsed.and_then(|said| Ok((Arguments::from_arg_matches(&said)?.task, said)));
    match parsed {
        Ok((task, said)) => Ok((task, said, settings)),
        Err(words) => {
            let mut tasks = command.get_subcommands();
            let place = tasks.find_map(|task| settings.place_of_complaint(task, &words));
            Err(Wrong::Line { words, place })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a command, or each that it consists of, prints JSON when it is asked to.
    fn has_json(task: &clap::Command) -> bool {
        let mut below = task.get_subcommands().peekable();
        if below.peek().is_some() {
            return below.all(has_json);
        }
        task.get_arguments().any(|option| option.get_long() == Some("json"))
    }

    #[test]
    fn whatever_a_script_may_ask_answers_in_json() {
        let command = command::<Arguments>();
        let without: Vec<_> = command
            .get_subcommands()
            .filter(|task| !has_json(task))
            .map(clap::Command::get_name)
            .collect();
        // What `publish` and `tail` print is JSON always, though one of them has an argument of that name; the others
        // answer nothing.
        assert_eq!(without, ["serve", "publish", "tail", "completions", "man"]);
    }
}

//! How much later each word comes than straight from the model.

use std::time::Duration;

use anyhow::Result;
use futures_util::future::try_join_all;
use reqwest::Client;
use tetherline_process::say;

use crate::{
    answer::{Lateness, Person, Speech},
    server::Server,
    writer::Way,
};

/// What is asked, and how often.
struct Question {
    about: &'static str,
    way: Way,
    interval: Duration,
    words: u32,
    times: u32,
}

/// As models speak: 20 ms between two words, less than what a connection waits to gather them.
const FAST: Duration = Duration::from_millis(20);
/// More than that: nothing is ever gathered.
const SLOW: Duration = Duration::from_millis(50);

const QUESTIONS: [Question; 6] = [
    about("20 words/s, none gathered; one long request", Way::Lines, SLOW, 200, 1),
    about("20 words/s, none gathered; a request each", Way::Requests, SLOW, 200, 1),
    about("50 words/s, gathered for 40 ms; one long request", Way::Lines, FAST, 500, 1),
    about("50 words/s, gathered for 40 ms; a request each", Way::Requests, FAST, 500, 1),
    about("first words; one long request", Way::Lines, SLOW, 1, 50),
    about("first words; a request each", Way::Requests, SLOW, 1, 50),
];
const PERSONS: u32 = 10;

const fn about(
    about: &'static str,
    way: Way,
    interval: Duration,
    words: u32,
    times: u32,
) -> Question {
    Question { about, way, interval, words, times }
}

pub(crate) async fn run(server: &Server, brief: bool) -> Result<()> {
    let (fewer, persons) = if brief { (10, 2) } else { (1, PERSONS) };
    let http = Client::new();
    let names = (0..persons).map(|number| format!("person-{number}"));
    let mut persons = try_join_all(names.map(|name| Person::named(name, server, &http))).await?;
    say!("\nwords of {} answers at a time, later than straight from the model", persons.len());
    for question in &QUESTIONS {
        let words = question.words.div_ceil(fewer);
        let times = question.times.div_ceil(fewer);
        let lateness = ask(&mut persons, &Question { words, times, ..*question }).await?;
        say!("\n  {}", question.about);
        say!("    the model itself  {}", lateness.direct);
        if lateness.durable.len() > 0 {
            say!("    until durable     {}", lateness.durable);
        }
        say!("    until shown       {}", lateness.shown);
    }
    Ok(())
}

/// All persons at a time, each a little later than the one before: no two speak at one moment.
async fn ask(persons: &mut [Person<'_>], question: &Question) -> Result<Lateness> {
    let &Question { way, interval, words, times, .. } = question;
    let step = interval / u32::try_from(persons.len()).unwrap_or(1);
    let asking = (0..).zip(persons).map(|(number, person)| async move {
        let mut all = Lateness::default();
        tokio::time::sleep(step * number).await;
        for _ in 0..times {
            all.extend(&person.ask(way, Speech { words, interval }).await?);
        }
        anyhow::Ok(all)
    });
    let mut all = Lateness::default();
    for lateness in try_join_all(asking).await? {
        all.extend(&lateness);
    }
    Ok(all)
}

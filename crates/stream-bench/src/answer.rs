//! One answer, read twice: straight from the model, and on a device by way of the server.

use std::{collections::HashMap, time::Duration};

use anyhow::{Context as _, Result, ensure};
use futures_util::StreamExt as _;
use reqwest::Client;
use tokio::sync::oneshot;

use crate::{
    delays::Delays,
    model::Model,
    reader::{Reader, Seen},
    server::Server,
    words::{Moment, instant, moments, now, word},
    writer::{Way, Writer},
};

/// How a model speaks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Speech {
    pub(crate) words: u32,
    /// Before the first word, too.
    pub(crate) interval: Duration,
}

/// How late words were.
#[derive(Debug, Default)]
pub(crate) struct Lateness {
    /// Straight from the model, after they were said.
    pub(crate) direct: Delays,
    /// Known to be durable, after they came straight from the model.
    pub(crate) durable: Delays,
    /// Seen on a device, after they came straight from the model.
    pub(crate) shown: Delays,
}

impl Lateness {
    pub(crate) fn extend(&mut self, others: &Self) {
        self.direct.extend(&others.direct);
        self.durable.extend(&others.durable);
        self.shown.extend(&others.shown);
    }
}

/// Somebody who asks, with a model of their own.
pub(crate) struct Person<'a> {
    pub(crate) name: String,
    pub(crate) server: &'a Server,
    pub(crate) http: &'a Client,
    pub(crate) model: Model,
    pub(crate) reader: Reader,
}

impl<'a> Person<'a> {
    pub(crate) async fn named(name: String, server: &'a Server, http: &'a Client) -> Result<Self> {
        let reader = Reader::connect(server, &name, &server.token(&name).await?).await?;
        Ok(Self { server, http, model: Model::start().await?, reader, name })
    }

    /// Asks once, and reads the answer to its end.
    pub(crate) async fn ask(&mut self, way: Way, speech: Speech) -> Result<Lateness> {
        let Self { name, server, http, model, reader } = self;
        let (direct, piped) = tokio::try_join!(model.listen(http), model.listen(http))?;
        ensure!(model.listeners() == 2, "somebody else listens");
        let (start, started) = oneshot::channel();
        let piping = async {
            let writer = Writer::open(server, http, name).await?;
            writer.pipe(way, piped).await
        };
        let listening = async {
            let mut direct = std::pin::pin!(direct);
            let mut heard = HashMap::new();
            while let Some(word) = direct.next().await.transpose()? {
                heard.extend(moments(&word).map(|said_at| (said_at, now())));
            }
            Ok(heard)
        };
        let speaking = async {
            started.await.context("the answer begins")?;
            Ok(speak(model, speech).await)
        };
        let (seen, durable, heard, said) =
            tokio::try_join!(reader.watch(start), piping, listening, speaking)?;
        compare(&said, &seen, &heard)?;
        lateness(&seen, &durable, &heard)
    }
}

async fn speak(model: &Model, speech: Speech) -> Vec<Moment> {
    let (mut said, mut next) = (Vec::new(), instant(now()));
    for _ in 0..speech.words {
        next += speech.interval;
        tokio::time::sleep_until(next.into()).await;
        // No two words are the same one, however late they are.
        let moment = said.last().map_or(now(), |&last: &Moment| now().max(last + 1));
        model.say(moment);
        said.push(moment);
    }
    model.end();
    said
}

fn compare(said: &[Moment], seen: &Seen, heard: &HashMap<Moment, Moment>) -> Result<()> {
    let whole: String = said.iter().map(|&moment| word(moment)).collect();
    ensure!(seen.content == whole, "{} is not what was said: {whole}", seen.content);
    ensure!(
        seen.words.iter().map(|word| word.0).eq(said.iter().copied()),
        "words were shown twice"
    );
    ensure!(heard.len() == said.len(), "the model was not heard");
    Ok(())
}

fn lateness(
    seen: &Seen,
    durable: &[(Moment, Moment)],
    heard: &HashMap<Moment, Moment>,
) -> Result<Lateness> {
    let mut lateness = Lateness::default();
    let at = |said_at: Moment| heard.get(&said_at).copied().context("everybody heard it");
    for &(said_at, shown_at) in &seen.words {
        lateness.direct.add(at(said_at)?, said_at);
        lateness.shown.add(shown_at, at(said_at)?);
    }
    for &(said_at, durable_at) in durable {
        lateness.durable.add(durable_at, at(said_at)?);
    }
    Ok(lateness)
}

//! The server: publishing, the application, and crashes, around the store's model and the real hub.

use tetherline_protocol::{ErrorCode, frame::Message};
use tetherline_server::{
    DRAIN_WINDOW, Refusal,
    simulation::Hub,
    store::{CarriedOut, Event as Told, Subscription},
};

use crate::{
    Mutant,
    event::Event,
    network::Down,
    reception::Reception,
    store::{Answer, Operation, SAVE_EVERY_MS},
    told::told,
    upstream::UNANNOUNCED,
    world::{Publish, PublishNo, UserNo, World},
};

/// One process of the server, from its start to its crash.
pub(crate) struct Life {
    pub(crate) number: u32,
    pub(crate) hub: Hub,
    /// What the hub has not heard yet.
    pub(crate) commits: Subscription,
    pub(crate) is_draining: bool,
    pub(crate) reception: Reception,
}

impl World {
    /// Somebody publishes a message, and goes on until it is answered.
    pub(crate) fn publish(&mut self, user: UserNo) {
        let kind = usize::from(self.random.percent(25));
        let longest = if self.random.percent(2) { 6_000 } else { 60 };
        let length = self.random.below(longest);
        self.publish_sized(user, kind, length);
    }

    pub(crate) fn publish_sized(&mut self, user: UserNo, kind: usize, length: usize) {
        let publish = self.publishes.len();
        let padding = "x".repeat(length);
        let name = ["news", "late"][kind];
        let text = format!(r#"{{"type":"{name}","id":"m{publish}","text":"{padding}"}}"#);
        let message = Message::parse(&text).expect("it is written as messages are");
        self.publishes.push(Publish { user, kind, answered: false, lost: false });
        self.contents.push((self.users[user].clone(), message));
        self.attempt(publish);
    }

    pub(crate) fn attempt(&mut self, publish: PublishNo) {
        let user = self.publishes[publish].user;
        if self.publishes[publish].answered {
            return;
        }
        // The publisher asks again when no answer has come.
        let patience = self.delay(300, 3_000);
        self.after(patience, Event::Attempt { publish });
        let Some(life) = &self.server else { return };
        let number = life.number;
        if self.mutant == Some(Mutant::AnsweredBeforeCommit) {
            self.publishes[publish].answered = true;
        }
        if self.mutant == Some(Mutant::DeliveredBeforeCommit) {
            let delivery = self.store.preview(publish, &self.contents[publish], user);
            let answer = Answer::Appended { publish, user, repeated: false, delivery };
            let event = told(&answer, |user| self.users[user].clone(), &self.contents, carried_out);
            if let Some(event) = event {
                life.hub.tell(event);
            }
            self.wake(user);
        }
        self.note(&format!("m{publish} is published for u{user}"));
        if self.fault(10) {
            // The publisher's proxy repeats the request.
            self.submit(Operation::Append { publish, user, key: Some(publish) }, number);
        }
        self.submit(Operation::Append { publish, user, key: Some(publish) }, number);
    }

    /// Hands an operation to the store's writer; the commit comes for all that waits.
    pub(crate) fn submit(&mut self, operation: Operation, life: u32) {
        self.store.submit(operation);
        let delay = self.delay(1, 25);
        self.after(delay, Event::Commit { life });
    }

    pub(crate) fn commit(&mut self, life: u32) {
        if !self.is_running(life) {
            return;
        }
        // It takes a commit that nobody hears of, which is too rare to wait for.
        let fails = if self.mutant == Some(Mutant::MissedForgotten) { 20 } else { 3 };
        if self.fault(fails) {
            // Sometimes all of it is durable, and the store does not hear so.
            let operations = if self.random.percent(50) {
                let operations = self.store.waiting().to_vec();
                self.commit_all();
                operations
            } else {
                self.store.fail_to_commit()
            };
            self.announce(life, vec![Told::Missed]);
            for operation in operations {
                self.not_committed(life, &operation);
            }
        } else {
            let answers = self.commit_all();
            let name = |user: UserNo| self.users[user].clone();
            let events =
                answers.iter().filter_map(|answer| told(answer, name, &self.contents, carried_out));
            let events = events.collect();
            self.announce(life, events);
            for answer in answers {
                let delay = self.delay(0, 5);
                self.after(delay, Event::Answered { life, answer });
            }
        }
    }

    fn commit_all(&mut self) -> Vec<Answer> {
        let answers = self.store.commit(&self.contents, self.now);
        for answer in &answers {
            match answer {
                Answer::Erased { user, .. } => {
                    self.forget_what_was_lost(*user);
                    self.writers_look_up(*user);
                    let epoch = self.store.epoch(*user);
                    self.note(&format!("u{user} is erased: epoch {epoch}"));
                }
                Answer::Stream { reply, news, .. } => self.order_committed(reply, news.is_some()),
                _ => {}
            }
        }
        if let Some(problem) = self.store.take_problem() {
            self.fail(problem);
        }
        answers
    }

    /// The store could not: whoever asked hears so, and asks again if they care.
    fn not_committed(&mut self, life: u32, operation: &Operation) {
        match *operation {
            Operation::Stream(ref order) => self.order_not_committed(life, order),
            Operation::Append { publish, .. } => {
                self.note(&format!("m{publish} is answered 503"));
            }
            Operation::Greet { link, .. } => {
                self.links[link].seat = None;
                self.send_down(link, Down::closed(UNANNOUNCED));
            }
            Operation::Acknowledge { link, seq, .. } => {
                self.links[link].unsaved = seq;
                self.acknowledged(link);
            }
            Operation::SaveCursor { link, .. } => self.acknowledged(link),
            Operation::Erase { user } => self.note(&format!("u{user} could not be erased")),
            Operation::Record { claim, .. } => {
                let refusal = Refusal::new(ErrorCode::Unavailable, "not recorded");
                self.settle(life, claim, Err(refusal));
            }
        }
    }

    pub(crate) fn answered(&mut self, life: u32, answer: Answer) {
        if !self.is_running(life) {
            return;
        }
        match answer {
            Answer::Appended { publish, user, .. } => {
                // The answer may get lost on its way to the publisher.
                if !self.fault(15) {
                    self.publishes[publish].answered = true;
                    // Its user may have been erased before the answer was out.
                    self.publishes[publish].lost = !self.store.mailbox(user).has(publish);
                }
            }
            Answer::Conflict { publish } => {
                self.fail(format!("m{publish} is taken for another message of its key"));
            }
            Answer::Greeted { link } => self.after(0, Event::Located { link }),
            Answer::Acknowledged { link } => self.acknowledged(link),
            Answer::Recorded { claim, outcome } => self.settle(life, claim, outcome),
            Answer::Erased { .. } => {}
            Answer::Stream { order, reply, .. } => self.order_answered(life, &order, &reply),
        }
    }

    /// The process or the machine goes down. What waits for a commit may just have made it.
    pub(crate) fn crash(&mut self) {
        let committed = self.random.percent(40);
        self.stop(committed);
    }

    /// A deployment: whoever is connected is told to leave, and nobody else comes in.
    pub(crate) fn start_draining(&mut self) {
        let Some(running) = self.server.as_mut().filter(|running| !running.is_draining) else {
            return;
        };
        running.is_draining = true;
        running.hub.start_draining(DRAIN_WINDOW);
        let life = running.number;
        self.note("the server drains");
        (0..self.users.len()).for_each(|user| self.wake(user));
        let delay = self.delay(10, 5_000);
        self.after(delay, Event::Drained { life });
    }

    pub(crate) fn drained(&mut self, life: u32) {
        if self.is_running(life) {
            self.store.save_cursors();
            self.stop(true);
        }
    }

    /// From its start on, as long as it runs.
    pub(crate) fn save_cursors(&mut self, life: u32) {
        if self.is_running(life) {
            self.store.save_cursors();
            self.after(SAVE_EVERY_MS, Event::SaveCursors { life });
        }
    }

    fn stop(&mut self, committed: bool) {
        if self.server.take().is_none() {
            return;
        }
        if committed {
            self.commit_all();
        }
        let unsaved_ms = self.store.acknowledged_since().map_or(0, |since| self.now - since);
        if unsaved_ms > SAVE_EVERY_MS {
            self.fail(format!("what was acknowledged {unsaved_ms} ms ago was not written"));
        }
        self.store.crash();
        // Of a store that others share, claims stay for their time.
        if self.random.percent(50) {
            self.store.forget_claims();
        }
        let machine = self.random.percent(30);
        self.note(&format!("the server crashes (committed {committed}, machine {machine})"));
        for link in 0..self.links.len() {
            let was_there = self.links[link].upstream.take().is_some();
            if self.links[link].seat.take().is_some() || was_there {
                if machine {
                    self.half_open(link);
                } else {
                    self.cut(link);
                }
            }
        }
        if self.random.percent(35) {
            self.restore_backup();
        }
        let downtime = self.delay(1, 4_000);
        self.after(downtime, Event::Restart);
    }

    pub(crate) fn restart(&mut self) {
        if self.server.is_none() {
            self.lives += 1;
            self.note("the server starts");
            let hub = Hub::new(&self.limits, &self.rates);
            let number = self.lives;
            self.server = Some(Life {
                number,
                hub,
                commits: self.events.subscribe(),
                is_draining: false,
                reception: Reception::default(),
            });
            self.after(1_000, Event::Overdue { life: number });
            self.after(SAVE_EVERY_MS, Event::SaveCursors { life: number });
        }
    }

    pub(crate) fn is_running(&self, life: u32) -> bool {
        self.server.as_ref().is_some_and(|running| running.number == life)
    }

    pub(crate) fn wake(&mut self, user: UserNo) {
        for link in 0..self.links.len() {
            if self.links[link].user == user && self.links[link].upstream.is_some() {
                let delay = self.delay(0, 3);
                self.after(delay, Event::Wake { link });
            }
        }
    }
}

/// Whoever asked for an erasure does not wait here.
fn carried_out(_: UserNo) -> CarriedOut {
    CarriedOut::new().0
}

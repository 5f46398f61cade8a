//! What a server keeps, as a model: what is committed survives a crash, what is not does not.

mod cursors;
mod histories;
mod operations;
mod streams;

use std::collections::BTreeMap;

use tetherline_protocol::{
    Epoch, Limits, MessageId, Seq, UserId,
    frame::{Message, id_in},
};
use tetherline_server::simulation::{Claims, Taken};
use tetherline_server::store::{Appended, Delivery, Head, Outcome, Place, Resumed, Room, Standing};

use cursors::Cursors;
pub(crate) use cursors::SAVE_EVERY_MS;
pub(crate) use operations::{Answer, Operation};

use histories::Histories;
use streams::HalfEnded;

use crate::{
    Mutant,
    archive::Archive,
    streams::Streams,
    world::{PublishNo, SendNo, UserNo},
};

/// What a publisher says its message is known by.
pub(crate) type KeyNo = usize;

/// A claim on a send.
pub(crate) type ClaimNo = u64;

/// A device of a user.
pub(crate) type DeviceNo = usize;

#[derive(Clone, Default)]
pub(crate) struct Mailbox {
    /// What was erased had the positions up to here.
    erased: u64,
    /// The message with the nth position behind that is at n-1.
    messages: Vec<(PublishNo, Delivery)>,
    keys: BTreeMap<KeyNo, u64>,
    cursors: Cursors,
    /// When each device was greeted last, in greetings.
    greeted: BTreeMap<DeviceNo, u64>,
    /// Messages up to here are not kept any more.
    trimmed: u64,
    /// As it is announced. A backup has it too.
    epoch: u32,
    outcomes: BTreeMap<SendNo, Outcome>,
    pub(crate) streams: Streams,
}

impl Mailbox {
    pub(crate) fn head(&self) -> u64 {
        self.erased + self.messages.len() as u64
    }

    /// The message at a position, trimmed or not.
    pub(crate) fn message(&self, position: u64) -> Option<&(PublishNo, Delivery)> {
        let index = position.checked_sub(self.erased + 1)?;
        self.messages.get(usize::try_from(index).ok()?)
    }

    /// The position of a message, trimmed or not.
    pub(crate) fn find(&self, publish: PublishNo) -> Option<&Delivery> {
        self.messages.iter().find(|(stored, _)| *stored == publish).map(|(_, delivery)| delivery)
    }

    pub(crate) fn count(&self, publish: PublishNo) -> usize {
        self.messages.iter().filter(|(stored, _)| *stored == publish).count()
    }

    pub(crate) fn has(&self, publish: PublishNo) -> bool {
        self.find(publish).is_some()
    }

    /// What stands there, as far as it is known: of what was trimmed, the last.
    fn id_at(&self, position: u64) -> Option<MessageId> {
        let (_, delivery) = self.message(position).filter(|_| position >= self.trimmed)?;
        id_in(&delivery.text)
    }

    pub(crate) fn trimmed(&self) -> u64 {
        self.trimmed
    }

    /// Where a device truly stands.
    pub(crate) fn cursor(&self, device: DeviceNo) -> u64 {
        self.cursors.of(device)
    }

    /// How far a device was told to stand, at most: what is under way may have left before a crash.
    pub(crate) fn furthest_cursor(&self, device: DeviceNo) -> u64 {
        self.cursors.furthest_of(device)
    }

    pub(crate) fn knows(&self, device: DeviceNo) -> bool {
        self.cursors.knows(device)
    }

    fn forget_least_recent(&mut self) {
        let least = self.greeted.iter().min_by_key(|(_, at)| **at).map(|(device, _)| *device);
        if let Some(device) = least {
            self.greeted.remove(&device);
            self.cursors.forget(device);
        }
    }
}

pub(crate) struct Store {
    mailboxes: Vec<Mailbox>,
    /// Mailboxes as a backup has them.
    backup: Option<Vec<Mailbox>>,
    waiting: Vec<Operation>,
    /// How many epochs were given: none is given twice.
    epochs: u32,
    histories: Histories,
    limits: Limits,
    greetings: u64,
    /// In which history each message was committed first.
    homes: BTreeMap<PublishNo, u32>,
    archive: Archive,
    /// Whether an attempt goes out of sight before the commit that ends it.
    hides_early: bool,
    /// Ended, with their message still to come, if a planted bug does it so.
    half_ended: Vec<HalfEnded>,
    /// Who is at which send: the real ones.
    claims: Claims<SendNo>,
    mutant: Option<Mutant>,
}

/// What a send meets.
pub(crate) enum Beginning {
    Yours(ClaimNo),
    Settled(Outcome),
    Elsewhere(Taken),
}

impl Store {
    pub(crate) fn new(
        users: usize,
        limits: &Limits,
        hides_early: bool,
        mutant: Option<Mutant>,
    ) -> Self {
        Self {
            mailboxes: vec![Mailbox::default(); users],
            backup: None,
            waiting: Vec::new(),
            epochs: 0,
            histories: Histories::new(users),
            limits: limits.clone(),
            greetings: 0,
            homes: BTreeMap::new(),
            archive: Archive::default(),
            hides_early,
            half_ended: Vec::new(),
            claims: Claims::default(),
            mutant,
        }
    }

    #[cfg(test)]
    pub(crate) fn work_by(&mut self, limits: &Limits) {
        self.limits = limits.clone();
    }

    pub(crate) fn mailbox(&self, user: UserNo) -> &Mailbox {
        &self.mailboxes[user]
    }

    /// The history in which a user's positions count, as it is announced.
    pub(crate) fn epoch(&self, user: UserNo) -> u32 {
        self.mailboxes[user].epoch
    }

    fn next_epoch(&mut self) -> u32 {
        self.epochs += 1;
        self.epochs
    }

    pub(crate) fn home(&self, publish: PublishNo) -> Option<u32> {
        self.homes.get(&publish).copied()
    }

    pub(crate) fn trim(&mut self, user: UserNo, until: u64) {
        let mailbox = &mut self.mailboxes[user];
        mailbox.trimmed = mailbox.trimmed.max(until);
    }

    pub(crate) fn submit(&mut self, operation: Operation) {
        self.waiting.push(operation);
    }

    /// Everything that waits becomes durable, together.
    pub(crate) fn commit(&mut self, publishes: &[(UserId, Message)], now: u64) -> Vec<Answer> {
        for half_ended in std::mem::take(&mut self.half_ended) {
            self.append_ended(&half_ended);
        }
        let waiting = std::mem::take(&mut self.waiting);
        waiting.into_iter().map(|operation| self.apply(operation, publishes, now)).collect()
    }

    /// What the next commit will make durable.
    pub(crate) fn waiting(&self) -> &[Operation] {
        &self.waiting
    }

    /// The disk takes nothing: nothing of what waits is changed.
    pub(crate) fn fail_to_commit(&mut self) -> Vec<Operation> {
        std::mem::take(&mut self.waiting)
    }

    /// The machine stops: what was not committed is gone.
    pub(crate) fn crash(&mut self) {
        for operation in self.waiting.drain(..) {
            if let Operation::Record { send, claim, .. } = operation {
                self.claims.release(&send, claim);
            }
        }
        self.half_ended.clear();
        self.lose_cursors();
        if self.mutant == Some(Mutant::TextLostInCrash) {
            self.forget_some_text();
        }
    }

    /// The store is one process's and ends with it. One that others share keeps claims for their time.
    pub(crate) fn forget_claims(&mut self) {
        self.claims = Claims::default();
    }

    /// Says what became of a send, or claims it.
    pub(crate) fn begin(&mut self, user: UserNo, send: SendNo, now: u64, ms: u64) -> Beginning {
        let known = self.mailboxes[user].outcomes.get(&send);
        if let Some(outcome) = known
            && self.mutant != Some(Mutant::OutcomeForgotten)
        {
            return Beginning::Settled(outcome.clone());
        }
        self.claims.claim(send, now, ms).map_or_else(Beginning::Elsewhere, Beginning::Yours)
    }

    pub(crate) fn renew(&mut self, send: SendNo, claim: ClaimNo, now: u64, ms: u64) -> bool {
        self.claims.renew(&send, claim, now, ms)
    }

    pub(crate) fn begin_to_record(&mut self, send: SendNo, claim: ClaimNo) -> bool {
        self.claims.begin_to_record(&send, claim)
    }

    pub(crate) fn release(&mut self, send: SendNo, claim: ClaimNo) {
        self.claims.release(&send, claim);
    }

    pub(crate) fn back_up(&mut self) {
        let written =
            |mailbox: &Mailbox| Mailbox { cursors: mailbox.cursors.written(), ..mailbox.clone() };
        self.backup = Some(self.mailboxes.iter().map(written).collect());
    }

    /// The operator restores the last backup, which renews the epoch if it is done by the command for it.
    pub(crate) fn restore(&mut self, is_announced: bool) -> bool {
        let Some(backup) = self.backup.take() else { return false };
        for user in 0..self.mailboxes.len() {
            self.histories.end(user, &self.mailboxes[user]);
        }
        self.mailboxes = backup;
        if is_announced {
            let epoch = self.next_epoch();
            self.mailboxes.iter_mut().for_each(|mailbox| mailbox.epoch = epoch);
        }
        (0..self.mailboxes.len()).for_each(|user| self.begin_history(user));
        true
    }

    pub(crate) fn place(&self, user: UserNo, device: DeviceNo) -> Place {
        let mailbox = &self.mailboxes[user];
        let cursor = match self.mutant {
            Some(Mutant::CursorOfAnotherDevice) => mailbox.cursors.floor(),
            _ => mailbox.cursor(device),
        };
        Place {
            head: self.head(user),
            cursor: seq(cursor),
            cursor_id: mailbox.id_at(cursor),
            floor: seq(mailbox.cursors.floor()),
            trimmed: seq(mailbox.trimmed),
            trimmed_id: mailbox.id_at(mailbox.trimmed),
        }
    }

    pub(crate) fn head(&self, user: UserNo) -> Head {
        let mailbox = &self.mailboxes[user];
        let head = mailbox.head();
        Head { seq: seq(head), id: mailbox.id_at(head), epoch: self.epoch_text(user) }
    }

    /// A page, and what stands where it begins.
    pub(crate) fn resume(&self, user: UserNo, after: Seq, room: Room) -> Resumed {
        let mailbox = &self.mailboxes[user];
        let standing = if after.get() > mailbox.head() {
            Standing::Nothing
        } else {
            mailbox.id_at(after.get()).map_or(Standing::Forgotten, Standing::Message)
        };
        let messages = self.read_now(user, after, room);
        Resumed { head: self.head(user), standing, messages }
    }

    /// Nothing in another epoch.
    pub(crate) fn read(
        &self,
        user: UserNo,
        epoch: &Epoch,
        after: Seq,
        room: Room,
    ) -> Vec<Delivery> {
        if *epoch == self.epoch_text(user) { self.read_now(user, after, room) } else { Vec::new() }
    }

    fn read_now(&self, user: UserNo, after: Seq, room: Room) -> Vec<Delivery> {
        let mailbox = &self.mailboxes[user];
        let from = after.get().max(mailbox.trimmed);
        let mut skipped = (from - mailbox.erased) as usize;
        if self.mutant == Some(Mutant::ReplayOffByOne) && from > 0 {
            skipped += 1;
        }
        let mut bytes = 0;
        let mut page = Vec::new();
        for (_, delivery) in mailbox.messages.iter().skip(skipped).take(room.messages) {
            bytes += delivery.text.len();
            if bytes > room.bytes && !page.is_empty() {
                break;
            }
            page.push(delivery.clone());
        }
        page
    }

    /// The delivery that a message that waits would become.
    pub(crate) fn preview(
        &self,
        publish: PublishNo,
        content: &(UserId, Message),
        user: UserNo,
    ) -> Delivery {
        let ahead = self.waiting.iter().filter(|operation| {
            matches!(operation, Operation::Append { user: other, .. } if *other == user)
        });
        delivery(publish, self.mailboxes[user].head() + ahead.count() as u64, &content.1)
    }

    fn apply(&mut self, operation: Operation, publishes: &[(UserId, Message)], now: u64) -> Answer {
        match operation {
            Operation::Append { publish, user, key } => {
                let mailbox = &mut self.mailboxes[user];
                if let Some((stored, delivery)) =
                    key.and_then(|key| mailbox.message(*mailbox.keys.get(&key)?))
                    && self.mutant != Some(Mutant::PublishKeyIgnored)
                {
                    if publishes[*stored].1 != publishes[publish].1 {
                        return Answer::Conflict { publish };
                    }
                    let delivery = delivery.clone();
                    return Answer::Appended { publish, user, repeated: true, delivery };
                }
                let position = mailbox.head() + 1;
                let delivery = delivery(publish, position, &publishes[publish].1);
                mailbox.messages.push((publish, delivery.clone()));
                mailbox.keys.extend(key.map(|key| (key, position)));
                let history = self.history(user);
                self.homes.entry(publish).or_insert(history);
                Answer::Appended { publish, user, repeated: false, delivery }
            }
            Operation::Greet { link, user, device, forgets } => {
                self.greetings += 1;
                let mailbox = &mut self.mailboxes[user];
                let is_full =
                    !mailbox.knows(device) && mailbox.cursors.devices() >= self.limits.devices_max;
                if is_full && forgets {
                    mailbox.forget_least_recent();
                }
                if !is_full || forgets {
                    mailbox.cursors.greet(device);
                    mailbox.greeted.insert(device, self.greetings);
                }
                Answer::Greeted { link }
            }
            Operation::Acknowledge { link, user, device, seq } => {
                let mailbox = &mut self.mailboxes[user];
                let seq = seq.min(mailbox.head());
                mailbox.cursors.acknowledge(device, seq, now);
                Answer::Acknowledged { link }
            }
            Operation::SaveCursor { link, user } => {
                self.save_cursors_of(user);
                Answer::Acknowledged { link }
            }
            Operation::Record { send, user, claim, outcome } => {
                self.mailboxes[user].outcomes.entry(send).or_insert(outcome.clone());
                self.claims.release(&send, claim);
                Answer::Recorded { claim, outcome }
            }
            Operation::Erase { user } => {
                let before = &self.mailboxes[user];
                self.histories.end(user, before);
                let head = before.head();
                let (erased, trimmed, cursors) = (head, head, Cursors::beginning_at(head));
                let epoch = self.next_epoch();
                self.mailboxes[user] =
                    Mailbox { erased, cursors, trimmed, epoch, ..Mailbox::default() };
                Answer::Erased { user, epoch: self.epoch_text(user) }
            }
            Operation::Stream(order) => self.apply_order(order, now),
        }
    }

    fn epoch_text(&self, user: UserNo) -> Epoch {
        format!("e{}", self.epoch(user)).parse().expect("a letter and a number are an epoch")
    }
}

fn delivery(publish: PublishNo, position: u64, message: &Message) -> Delivery {
    let fresh = || format!("m{publish}").parse().expect("a letter and a number are an id");
    let id = message.id().cloned().unwrap_or_else(fresh);
    let appended = Appended { id, seq: seq(position), repeated: false, created_at_ms: 0 };
    Delivery::new(message, &appended)
}

fn seq(position: u64) -> Seq {
    Seq::new(position).expect("no run publishes 2^53 messages")
}

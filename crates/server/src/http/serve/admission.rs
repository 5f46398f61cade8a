//! Who is let in while nobody has proved who they are. A place is always free for one more: it is that of
//! whoever has waited longest, and of whoever asks for nothing first.

use std::{
    collections::BTreeMap,
    os::fd::{AsRawFd as _, RawFd},
    sync::{Arc, Mutex},
};

use tokio::{net::TcpStream, sync::Notify};

use crate::lock::lock;

/// HTTP connections on which nobody has shown a key yet and that are no WebSocket. For one more the one is closed
/// that has been without a request for longest, or else the one whose request is the oldest.
pub const UNAUTHENTICATED_CONNECTIONS_MAX: usize = 1_024;
/// File descriptors that are kept back for the store, the webhook's requests and the log, or half of all if that
/// is less. An accepted connection that would take one of them is let in only for another one that is not
/// authenticated.
pub const DESCRIPTORS_RESERVED: u64 = 512;
/// Of those, so many are left to connections that were told to end and have not ended yet.
const DESCRIPTORS_ENDING: u64 = 32;

/// Has this process have as many file descriptors as the system lets it: a connection takes one. Says so if so many
/// connections would be too many.
pub fn raise_descriptors(connections_max: usize) {
    let wanted = connections_max as u64 + DESCRIPTORS_RESERVED;
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(descriptors) if descriptors < wanted => tracing::warn!(
            descriptors,
            wanted,
            "there are fewer file descriptors for this process than for connections_max; let it have more \
             (`ulimit -n`, `LimitNOFILE`)"
        ),
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "the number of file descriptors could not be raised"),
    }
}

/// Connections that are not authenticated, of one listener.
pub(super) struct Admission {
    guests: Mutex<Guests>,
    /// From this descriptor on few are left: the system gives the lowest that is free.
    scarce_from: u64,
}

#[derive(Default)]
struct Guests {
    /// The number of the next one that begins to wait.
    next: u64,
    /// Without a request; whoever has waited longest is the first.
    idle: BTreeMap<u64, Arc<Notify>>,
    /// With a request that is read, carried out or answered.
    busy: BTreeMap<u64, Arc<Notify>>,
}

/// One connection, as long as it speaks HTTP.
#[derive(Clone)]
pub(crate) struct Guest(Arc<Place>);

struct Place {
    admission: Arc<Admission>,
    cut: Arc<Notify>,
    stands: Mutex<Stands>,
}

#[derive(Clone, Copy)]
enum Stands {
    Idle(u64),
    Busy(u64),
    /// It has shown a key: nobody takes its place.
    Authenticated,
}

impl Admission {
    pub(super) fn new() -> Arc<Self> {
        // Unknown is none: the accept loop survives running out of them.
        let descriptors = rlimit::Resource::NOFILE.get_soft().unwrap_or(u64::MAX);
        let scarce_from = descriptors.saturating_sub(DESCRIPTORS_RESERVED).max(descriptors / 2);
        Arc::new(Self { guests: Mutex::default(), scarce_from })
    }

    /// Lets a connection in, if need be for another one; `None` if there is none whose place it could take.
    pub(super) fn admit(self: &Arc<Self>, stream: &TcpStream) -> Option<Guest> {
        let mut guests = lock(&self.guests);
        let has_room = guests.idle.len() + guests.busy.len() < UNAUTHENTICATED_CONNECTIONS_MAX;
        let is_admitted = match self.scarcity(stream.as_raw_fd()) {
            Scarcity::None => has_room || guests.cut_one(),
            Scarcity::Some => guests.cut_one(),
            Scarcity::Dire => {
                guests.cut_one();
                false
            }
        };
        is_admitted.then(|| {
            let cut = Arc::new(Notify::new());
            let number = guests.number();
            guests.idle.insert(number, cut.clone());
            let stands = Mutex::new(Stands::Idle(number));
            Guest(Arc::new(Place { admission: self.clone(), cut, stands }))
        })
    }

    /// Nobody can be accepted for want of a descriptor: one comes free.
    pub(super) fn make_room(&self) {
        lock(&self.guests).cut_one();
    }

    fn scarcity(&self, descriptor: RawFd) -> Scarcity {
        let taken = u64::try_from(descriptor).unwrap_or(0);
        match taken.checked_sub(self.scarce_from) {
            None => Scarcity::None,
            Some(beyond) if beyond < DESCRIPTORS_ENDING => Scarcity::Some,
            Some(_) => Scarcity::Dire,
        }
    }
}

enum Scarcity {
    None,
    Some,
    Dire,
}

impl Guests {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Has one end. Answers whether there was any.
    fn cut_one(&mut self) -> bool {
        let cut = self.idle.pop_first().or_else(|| self.busy.pop_first());
        cut.map(|(_, cut)| cut.notify_one()).is_some()
    }
}

impl Guest {
    /// Resolves when this connection is to make room.
    pub(super) async fn cut(&self) {
        self.0.cut.notified().await;
    }

    /// A request has been read up to the end of its header.
    pub(super) fn asks(&self) {
        self.0.turn(|guests, stands, cut| match stands {
            Stands::Idle(number) if guests.idle.remove(&number).is_some() => {
                let number = guests.number();
                guests.busy.insert(number, cut.clone());
                Stands::Busy(number)
            }
            stands => stands,
        });
    }

    /// The answer has begun. Whether it is read is not known, and a reason to wait no longer than others.
    pub(super) fn is_answered(&self) {
        self.0.turn(|guests, stands, cut| match stands {
            Stands::Busy(number) if guests.busy.remove(&number).is_some() => {
                let number = guests.number();
                guests.idle.insert(number, cut.clone());
                Stands::Idle(number)
            }
            stands => stands,
        });
    }

    /// Whoever is at the other end has shown a key.
    pub(crate) fn is_authenticated(&self) {
        self.0.turn(|guests, stands, _| {
            guests.forget(stands);
            Stands::Authenticated
        });
    }
}

impl Guests {
    fn forget(&mut self, stands: Stands) {
        match stands {
            Stands::Idle(number) => self.idle.remove(&number),
            Stands::Busy(number) => self.busy.remove(&number),
            Stands::Authenticated => None,
        };
    }
}

impl Place {
    fn turn(&self, next: impl FnOnce(&mut Guests, Stands, &Arc<Notify>) -> Stands) {
        let mut stands = lock(&self.stands);
        *stands = next(&mut lock(&self.admission.guests), *stands, &self.cut);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let stands = *lock(&self.stands);
        lock(&self.admission.guests).forget(stands);
    }
}

//! Who is signed in, with which token, and for how long the server believes it.

use tetherline_engine::{ConnectionNo, NoToken, ProbeAnswer};
use tetherline_protocol::ErrorCode;
use tetherline_server::simulation::{Event as Happened, Verdict};

use crate::{
    event::Event,
    world::{LinkNo, PageNo, UserNo, World},
};

/// Counts sign-ins, of all pages.
pub(crate) type SignInNo = usize;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Token {
    pub(crate) user: UserNo,
    pub(crate) expires_at: u64,
    pub(crate) revoked: bool,
    pub(crate) sign_in: SignInNo,
}

impl Token {
    pub(crate) fn to_text(self) -> String {
        let Self { user, expires_at, revoked, sign_in } = self;
        format!("{user}.{expires_at}.{}.{sign_in}", u8::from(revoked))
    }

    pub(crate) fn read(text: &str) -> Self {
        let mut parts = text.split('.').map(|part| part.parse::<u64>().unwrap_or_default());
        let mut next = || parts.next().unwrap_or_default();
        Self {
            user: next() as usize,
            expires_at: next(),
            revoked: next() == 1,
            sign_in: next() as usize,
        }
    }
}

impl World {
    /// A new sign-in, which stands until the server ends it.
    pub(crate) fn new_sign_in(&mut self) -> SignInNo {
        self.ended_sign_ins.push(false);
        self.ended_sign_ins.len() - 1
    }

    pub(crate) fn token(&mut self, page: PageNo, request: u32, fresh: bool) {
        if self.pages[page].requests != request || !self.pages[page].is_signed_in() {
            return;
        }
        let now = self.instant(page);
        if self.fault(6) {
            let reason = if self.random.percent(20) { NoToken::SignedOut } else { NoToken::Failed };
            self.pages[page].refusal_is_due |= reason == NoToken::SignedOut;
            self.pages[page].engine.handle_no_token(reason, now);
        } else {
            // Whoever gives a fresh token looks whether the sign-in stands, sooner or later.
            let has_ended = fresh && self.ended_sign_ins[self.pages[page].sign_in];
            if self.fault(10) || (has_ended && !self.fault(50)) {
                // Its application has signed in anew, for the same person.
                self.pages[page].sign_in = self.new_sign_in();
            }
            let (user, sign_in) = (self.pages[page].user, self.pages[page].sign_in);
            let cached =
                self.pages[page].token.filter(|token| !fresh && token.expires_at > self.now);
            let life = self.random.within(8_000, 600_000);
            let revoked = self.fault(5);
            let new = Token { user, expires_at: self.now + life, revoked, sign_in };
            self.pages[page].token = Some(cached.unwrap_or(new));
            self.pages[page].engine.handle_token(now);
        }
        self.drain(page);
    }

    pub(crate) fn probed(&mut self, page: PageNo, connection: ConnectionNo, link: LinkNo) {
        if !self.pages[page].is_open() {
            return;
        }
        let now = self.instant(page);
        let answer = match &self.server {
            _ if self.pages[page].is_offline => ProbeAnswer::Unreachable,
            _ if self.in_between.is_some() => return self.probed_in_between(page, connection),
            None => ProbeAnswer::Unreachable,
            Some(life) if life.is_draining => {
                ProbeAnswer::of(503, Some(ErrorCode::Unavailable), Some(1_000))
            }
            Some(_) if self.token_is_good(self.links[link].token) => {
                ProbeAnswer::of(426, Some(ErrorCode::BadFrame), None)
            }
            Some(_) => ProbeAnswer::of(401, Some(ErrorCode::Unauthorized), None),
        };
        self.pages[page].engine.handle_probe(connection, answer, now);
        self.drain(page);
    }

    pub(crate) fn sign_in_again(&mut self, page: PageNo, generation: u32) {
        let target = &self.pages[page];
        if target.is_open() && target.is_signed_in() && target.generation == generation {
            let sign_in = self.new_sign_in();
            let now = self.instant(page);
            let target = &mut self.pages[page];
            target.token = None;
            target.sign_in = sign_in;
            target.sign_in_to_engine(now);
            // As the application's `reconnect()`, if the engine still tries.
            target.engine.wake(now);
            self.drain(page);
        }
    }

    /// Somebody ends a page's sign-in on the server, from another place.
    pub(crate) fn sign_out_on_server(&mut self, page: PageNo) {
        let user = self.pages[page].user;
        let known = self.pages[page].link.filter(|link| self.links[*link].user == user);
        // Now and then one that the page has left behind.
        let sign_in = match known {
            Some(link) if self.random.percent(50) => self.links[link].token.sign_in,
            _ => self.pages[page].sign_in,
        };
        self.note(&format!("the server ends sign-in {sign_in} of page {page}"));
        self.ended_sign_ins[sign_in] = true;
        if let Some(life) = &self.server {
            life.hub.sign_out(&self.users[user], &Self::sign_in_name(sign_in));
        }
        self.wake(user);
    }

    pub(crate) fn sign_in_name(sign_in: SignInNo) -> String {
        format!("i{sign_in}")
    }

    pub(crate) fn token_is_good(&self, token: Token) -> bool {
        token.expires_at > self.now && !token.revoked && !self.ended_sign_ins[token.sign_in]
    }

    /// A session has got a new token.
    pub(crate) fn verify(&self, token: Token) -> Verdict {
        if token.expires_at <= self.now || token.revoked {
            return Verdict::Bad;
        }
        self.good(token)
    }

    fn good(&self, token: Token) -> Verdict {
        let left = token.expires_at.saturating_sub(self.now);
        Verdict::Good(self.users[token.user].clone(), Self::sign_in_name(token.sign_in), left)
    }

    /// It is good: whether its sign-in stands is looked up, as of some moment.
    pub(crate) fn look_up(&mut self, link: LinkNo) {
        let Some(upstream) = &mut self.links[link].upstream else { return };
        let token = upstream.renewing;
        upstream.look_up += 1;
        let look_up = upstream.look_up;
        let stands = !self.ended_sign_ins[token.sign_in];
        let delay = self.delay(0, 2_000);
        self.after(delay, Event::LookedUp { link, look_up, token, stands });
    }

    pub(crate) fn looked_up(&mut self, link: LinkNo, look_up: u32, token: Token, stands: bool) {
        let Some(upstream) = &self.links[link].upstream else { return };
        if upstream.look_up != look_up {
            return;
        }
        let stands = stands && (self.random.percent(50) || !self.ended_sign_ins[token.sign_in]);
        let verdict = if self.fault(10) {
            Verdict::Undecided
        } else if !stands {
            Verdict::SignedOut
        } else {
            self.links[link].token = token;
            self.good(token)
        };
        self.tell(link, Happened::LookedUp(verdict));
    }

    /// A page shows somebody as refused, or signed out: only when a fresh token did not help either. Its
    /// application has the person sign in again.
    pub(crate) fn identity_refused(&mut self, page: PageNo) {
        self.note(&format!("page {page} is refused"));
        if self.stranger_speaks {
            self.fail(format!("page {page} signs somebody out over somebody else's answer"));
        }
        if !std::mem::take(&mut self.pages[page].refusal_is_due) {
            self.fail(format!("page {page} signs somebody out over an old token"));
        }
        let generation = self.pages[page].generation;
        let delay = self.delay(500, 5_000);
        self.after(delay, Event::SignInAgain { page, generation });
    }

    /// A connection that the end of its sign-in should have closed.
    pub(crate) fn outlived_sign_in(&self) -> Option<LinkNo> {
        let outlives = |link: &crate::network::Link| {
            link.upstream.is_some() && self.ended_sign_ins[link.token.sign_in]
        };
        self.links.iter().position(outlives)
    }
}

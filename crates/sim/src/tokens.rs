//! Who is signed in, with which token, and for how long the server believes it.

use tetherline_engine::{ConnectionNo, NoToken, ProbeAnswer};
use tetherline_protocol::ErrorCode;

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
            self.drain(page);
        }
    }

    /// Somebody ends a page's sign-in on the server, from another place.
    pub(crate) fn sign_out_on_server(&mut self, page: PageNo) {
        let (user, sign_in) = (self.pages[page].user, self.pages[page].sign_in);
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

    /// A page takes somebody for signed out: only when a fresh token did not help either.
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

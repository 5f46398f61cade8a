use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::{
    rates::Meters,
    store::{RANDOM_BYTES, random},
};

/// What names a request, in its answer and in the log.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest id that is taken from elsewhere, in bytes.
const REQUEST_ID_BYTES_MAX: usize = 64;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Where the ids of a connection's requests come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RequestIds {
    /// A proxy that is trusted may say them.
    FromProxy,
    Drawn,
}

impl RequestIds {
    pub(super) fn of(peer: IpAddr, meters: Option<&Meters>) -> Self {
        match meters {
            Some(meters) if meters.trusts(peer) => Self::FromProxy,
            _ => Self::Drawn,
        }
    }

    /// Anybody else's would stand in the log for somebody else's.
    pub(super) fn next(self, headers: &HeaderMap) -> HeaderValue {
        let said = match self {
            Self::FromProxy => headers.get(REQUEST_ID).filter(|id| is_one(id)),
            Self::Drawn => None,
        };
        said.cloned().unwrap_or_else(drawn)
    }
}

/// Every request pays for it.
fn drawn() -> HeaderValue {
    let mut digits = [0; 2 * RANDOM_BYTES];
    for (two, byte) in digits.chunks_exact_mut(2).zip(random()) {
        let [high, low] = [byte >> 4, byte & 0xf].map(|digit| HEX[usize::from(digit)]);
        two.copy_from_slice(&[high, low]);
    }
    HeaderValue::from_bytes(&digits).expect("digits are a header's value")
}

fn is_one(id: &HeaderValue) -> bool {
    let is_fine = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._".contains(byte);
    let bytes = id.as_bytes();
    (1..=REQUEST_ID_BYTES_MAX).contains(&bytes.len()) && bytes.iter().all(is_fine)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(ids: RequestIds, said: &str) -> HeaderValue {
        let mut headers = HeaderMap::new();
        headers.insert(REQUEST_ID, said.parse().unwrap());
        ids.next(&headers)
    }

    #[test]
    fn only_what_a_trusted_proxy_says_and_is_short_and_plain_is_taken() {
        let longest = "a".repeat(REQUEST_ID_BYTES_MAX);
        for good in ["r-1", "0af7651916cd43dd8448eb211c80319c", "A.b_C-9", &longest] {
            assert_eq!(next(RequestIds::FromProxy, good), good);
            assert_ne!(next(RequestIds::Drawn, good), good);
        }
        let long = "a".repeat(REQUEST_ID_BYTES_MAX + 1);
        for bad in ["", "a b", "a\"b", "a{b}", "a=b", "é", &long] {
            let id = next(RequestIds::FromProxy, bad);
            assert_eq!(id.len(), 2 * RANDOM_BYTES, "{bad}");
            assert_ne!(id, next(RequestIds::FromProxy, bad));
        }
    }
}

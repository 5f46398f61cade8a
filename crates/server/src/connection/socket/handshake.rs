use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version, header};
use sha1::{Digest as _, Sha1};

/// RFC 6455, section 1.3.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// RFC 6455, section 4.1: 16 bytes, in base64.
const KEY_BYTES: usize = 16;

/// A request to upgrade that RFC 6455, section 4.2.1, has nothing against.
pub(crate) struct Handshake {
    accept: HeaderValue,
}

/// Why there is none.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoHandshake {
    /// It asks for no WebSocket.
    Unwanted,
    /// It asks for another version of the protocol.
    Version,
    Malformed,
}

impl Handshake {
    pub(crate) fn of(
        method: &Method,
        version: Version,
        headers: &HeaderMap,
    ) -> Result<Self, NoHandshake> {
        if !has_word(headers, &header::UPGRADE, "websocket") {
            return Err(NoHandshake::Unwanted);
        }
        let is_http = method == Method::GET && version == Version::HTTP_11 && !has_body(headers);
        if !is_http || !has_word(headers, &header::CONNECTION, "upgrade") {
            return Err(NoHandshake::Malformed);
        }
        if only(headers, &header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
            return Err(NoHandshake::Version);
        }
        let key = only(headers, &header::SEC_WEBSOCKET_KEY).ok_or(NoHandshake::Malformed)?;
        if BASE64_STANDARD.decode(key).map_or(0, |bytes| bytes.len()) != KEY_BYTES {
            return Err(NoHandshake::Malformed);
        }
        let accept = Sha1::new().chain_update(key.as_bytes()).chain_update(GUID).finalize();
        let accept = HeaderValue::from_str(&BASE64_STANDARD.encode(accept))
            .map_err(|_| NoHandshake::Malformed)?;
        Ok(Self { accept })
    }

    /// The value of `Sec-WebSocket-Accept`.
    pub(crate) fn accept(&self) -> HeaderValue {
        self.accept.clone()
    }
}

/// Whether a list has this word, in whatever case.
fn has_word(headers: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|it| it.trim().eq_ignore_ascii_case(word))
}

/// What one takes for a body, and another for the first frames, is said by nobody who means well.
fn has_body(headers: &HeaderMap) -> bool {
    headers.contains_key(header::TRANSFER_ENCODING)
        || headers.get_all(header::CONTENT_LENGTH).iter().any(|length| length != "0")
}

fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then(|| value.trim())
}

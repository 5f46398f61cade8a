use std::fmt;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::security::auth::SECRET_BYTES_MIN;

/// How a secret begins that is written as Standard Webhooks has it.
pub(crate) const PREFIX: &str = "whsec_";

/// What requests to a webhook are signed with.
pub(crate) struct SigningSecret(Box<[u8]>);

/// It begins as a key of Standard Webhooks does, and is none.
pub(crate) struct NoKey;

impl SigningSecret {
    /// `whsec_` and the key in base64; any other text is the key itself, as it was before secrets had
    /// that form.
    pub(crate) fn parse(text: &str) -> Result<Self, NoKey> {
        let Some(encoded) = text.strip_prefix(PREFIX) else {
            return Ok(Self(text.as_bytes().into()));
        };
        let key = BASE64_STANDARD.decode(encoded).map_err(|_| NoKey)?;
        if key.len() < SECRET_BYTES_MIN {
            return Err(NoKey);
        }
        Ok(Self(key.into()))
    }

    /// The header `Webhook-Signature`.
    pub(crate) fn sign(&self, id: &str, timestamp: &str, body: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0)
            .expect("HMAC takes a key of any length (RFC 2104)");
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()))
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SigningSecret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_prefix_announces_is_a_key_or_an_error() {
        let key = |text: &str| SigningSecret::parse(text).ok().map(|secret| secret.0.to_vec());
        let sixteen = BASE64_STANDARD.encode([7; SECRET_BYTES_MIN]);
        assert_eq!(key(&format!("whsec_{sixteen}")), Some(vec![7; SECRET_BYTES_MIN]));
        assert_eq!(key(&sixteen), Some(sixteen.clone().into_bytes()), "as before");
        let short = BASE64_STANDARD.encode([7; SECRET_BYTES_MIN - 1]);
        for none in ["whsec_", "whsec_no base64", &format!("whsec_{short}")] {
            assert_eq!(key(none), None, "{none}");
        }
    }
}

//! Devices on which somebody has signed in before. What others try elsewhere does not keep them out.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use uuid::Uuid;

/// What signs the cookies of devices.
#[derive(Clone)]
pub(crate) struct DeviceKey(Vec<u8>);

/// A device that one person has signed in on: what its cookie says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Device {
    user: String,
    id: Uuid,
}

impl DeviceKey {
    /// The secret is that of the refresh tokens; what is signed with it cannot be taken for one of them.
    pub(crate) fn new(secret: &str) -> Self {
        Self([b"device cookies ", secret.as_bytes()].concat())
    }

    fn sign(&self, user: &str, id: &Uuid) -> String {
        // HMAC takes keys of any length.
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes any key");
        mac.update(format!("{user} {id}").as_bytes());
        let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap_or_default();
        let bytes = mac.finalize().into_bytes();
        bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
    }
}

impl Device {
    /// Known since this sign-in: whoever has its cookie only gets no further rations by renewing it.
    pub(crate) fn of_sign_in(user: &str, sign_in: Uuid) -> Self {
        Self { user: user.into(), id: sign_in }
    }

    /// What a cookie says, if we wrote it.
    pub(crate) fn parse(text: &str, key: &DeviceKey) -> Option<Self> {
        let mut parts = text.split('.');
        let (user, id, signature) = (parts.next()?, parts.next()?.parse().ok()?, parts.next()?);
        let expected = key.sign(user, &id);
        let is_ours =
            parts.next().is_none() && bool::from(expected.as_bytes().ct_eq(signature.as_bytes()));
        is_ours.then(|| Self { user: user.into(), id })
    }

    pub(crate) fn to_text(&self, key: &DeviceKey) -> String {
        format!("{}.{}.{}", self.user, self.id, key.sign(&self.user, &self.id))
    }

    pub(crate) fn is_of(&self, user: &str) -> bool {
        self.user == user
    }

    pub(crate) fn id(&self) -> Uuid {
        self.id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_says_whose_device_it_is_and_nobody_else_can_write_one() {
        let key = DeviceKey::new("secret");
        let device = Device::of_sign_in("ada", Uuid::now_v7());
        let text = device.to_text(&key);
        assert_eq!(Device::parse(&text, &key), Some(device.clone()));
        assert!(device.is_of("ada") && !device.is_of("bob"));
        assert_eq!(Device::parse(&text.replace("ada", "bob"), &key), None);
        assert_eq!(Device::parse(&text, &DeviceKey::new("another")), None);
        for nonsense in ["", "..", "ada", &format!("{text}.more"), &text[..text.len() - 1]] {
            assert_eq!(Device::parse(nonsense, &key), None, "{nonsense}");
        }
    }
}

//! Who may connect, publish and read: tokens, keys, secrets and the origins of pages.

pub(crate) mod auth;
pub(crate) mod origin;
pub(crate) mod secret;

pub use auth::{ApiKey, JwtKeys, SECRET_BYTES_MIN, WeakSecret, issue_token};
pub use origin::{InvalidOrigin, Origin};
#[cfg(feature = "webhook")]
pub use secret::webhook_secret_file;
pub use secret::{SecretFileError, secret_file};

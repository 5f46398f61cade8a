//! Who may connect, publish and read: tokens, keys, secrets, the origins of pages, and where requests come from.

pub(crate) mod auth;
pub(crate) mod certificates;
pub(crate) mod hook;
pub(crate) mod identify;
pub(crate) mod keys;
pub(crate) mod network;
pub(crate) mod origin;
pub(crate) mod secret;

pub use auth::{
    ApiKey, InvalidJwks, InvalidKey, InvalidRule, JWKS_BYTES_MAX, JWKS_KEYS_MAX, JwtKeys,
    KEYS_TRIED_MAX, RSA_BITS_MAX, RSA_BITS_MIN, SECRET_BYTES_MIN, TOKEN_LEEWAY_MAX, TOKEN_LIFE_MAX,
    TokenRules, UnusableKey, VerifyingKey, WeakSecret, issue_token,
};
#[cfg(feature = "jwks")]
pub use auth::{
    InvalidJwksUrl, JWKS_AGE, JWKS_AGE_MAX, JWKS_AGE_MIN, JWKS_KEPT_MAX, JWKS_RETRY_BASE,
    JWKS_RETRY_MAX, JWKS_TIMEOUT, JWKS_UNKNOWN_KID_INTERVAL, Jwks, JwksOptions, JwksTimes,
};
pub use certificates::{Certificates, InvalidCertificates};
pub use hook::{
    CONNECT_HOOK_RENEWALS_PER_USER_MAX, CONNECT_HOOK_REQUESTS_MAX, CONNECT_HOOK_TIMEOUT,
    CONNECT_HOOK_TIMEOUT_MAX, CONNECT_HOOK_WAITING_MAX, ConnectHookOptions,
};
pub use keys::{
    API_KEYS_BYTES_MAX, API_KEYS_LOCK_WAIT, API_KEYS_MAX, ApiKeyFile, ApiKeyFileError, ApiKeyName,
    ApiKeys, InvalidApiKeyName, InvalidScope, InvalidUserPrefix, NamedApiKey, Scope, UserPrefix,
};
pub use network::{AddressRange, InvalidAddressRange, Network, Proxies, ProxyHeader};
pub use origin::{InvalidOrigin, Origin};
#[cfg(feature = "webhook")]
pub use secret::webhook_secret_file;
pub use secret::{SecretFileError, secret_file};

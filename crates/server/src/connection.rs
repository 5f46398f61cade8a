//! One connection, from its upgraded socket to its close: the driver moves bytes, the session decides,
//! and the hub tells both what happens elsewhere.

pub(crate) mod driver;
pub(crate) mod hub;
pub(crate) mod session;
pub(crate) mod socket;

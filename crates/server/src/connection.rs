//! One connection, from its upgraded socket to its close: the driver moves bytes, the pump says
//! what happens in which order, the session decides, and the hub, which hears what the store commits,
//! tells what happens elsewhere.

pub(crate) mod bulletin;
pub(crate) mod driver;
pub(crate) mod events;
pub(crate) mod hub;
pub(crate) mod pump;
pub(crate) mod sends_room;
pub(crate) mod session;
pub(crate) mod socket;

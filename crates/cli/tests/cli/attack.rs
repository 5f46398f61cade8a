//! What a hostile or broken peer does, byte by byte, to the real process; and beside it somebody who is well-behaved, and
//! whom nothing of it may concern.

mod bystander;
mod ends;
mod flood;
mod frames;
mod handshake;
mod random;
mod raw;
mod secrets;
mod slow;

//! Frames as JSON text: one object each.
//!
//! The header fields are `type`, `id`, `seq`, `timestamp` and `ref`; everything else belongs to
//! the application and passes through as the bytes that it wrote. [`Message`] holds a message so
//! split, and [`Message::to_frame`] puts a header in front again without parsing anything.

mod answer;
mod client;
mod message;
mod parts;
mod publish;
mod server;
mod stream;

pub use answer::{InvalidAnswer, SendAnswer};
pub use client::{AfterId, ClientFrame, Stop};
pub use message::{FrameError, Message, id_in};
pub use parts::MessageParts;
pub use publish::{
    NotItems, PublishItem, PublishItemError, Recipients, items_of_array, items_of_lines,
};
pub use server::{
    Accepted, ConnectionEstablished, ErrorFrame, MailboxGap, MessageDelta, MessageLost,
    MessageStart, PendingCheckComplete, PendingSummary, Pong, PositionChecked, ServerFrame,
};
pub use stream::{StreamEnding, StreamOpening};

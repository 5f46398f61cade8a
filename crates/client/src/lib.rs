//! The native Tetherline client: a tokio driver around [`tetherline_engine`].
//!
//! Everything that is decided is decided in the engine, the same one that browsers run as
//! WebAssembly. This crate owns the socket and the clock. **A slow application stops its server**:
//! a message is the engine's, and acknowledged, only after the application asked for it; what is
//! read ahead is bounded by what a server keeps in flight, and then the socket is left alone.
//!
//! ```no_run
//! use tetherline::{Client, Event};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let mut client = Client::builder("https://chat.example.org")
//!     .user("7b0e8a52-5a3c-4f43-9a55-0f6a9a3b9c11".parse()?)
//!     .device("my-terminal".parse()?)
//!     .token(|_fresh| async { Ok(String::from("the JWT")) })
//!     .connect()?;
//! client.send(r#"{"type":"message_generate","message":"Hello"}"#).await?;
//! while let Some(event) = client.next().await {
//!     if let Event::Message(message) = event {
//!         println!("{}", message.text);
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod builder;
mod client;
#[cfg(doctest)]
mod doctests;
mod driver;
mod endpoint;
mod event;
mod link;
mod probe;
mod sends;
mod tls;
mod trouble;

pub use builder::{Acknowledge, Builder, SetupError};
pub use client::{Client, Sender};
pub use event::{Connection, Event, Message, Receipt, StreamStarted, StreamText};
pub use sends::{Accepted, SendError};
pub use tetherline_engine::{NoToken, Status, WaitReason};
pub use tetherline_protocol::frame::SendAnswer;
pub use tetherline_protocol::{Attempt, DeviceId, MessageId, Seq, StopTarget, UserId};

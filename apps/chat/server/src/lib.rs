//! The reference chat backend: sign-in, conversations and answers over Tetherline.
//!
//! What a person sends is committed together with the order to answer it and with what is to be
//! published about it, in the chat's own database; from there it goes to the mailbox that
//! `tetherline-server` keeps and delivers. A crash anywhere in between loses and doubles nothing.
//!
//! The binary `tetherline-chat` is a thin shell around [`Chat`]; tests and other programs embed it.

mod accounts;
mod application;
pub mod backup;
mod chat;
mod clock;
mod database;
mod device;
mod history;
mod http;
mod jobs;
pub mod limits;
mod password;
mod rate_limit;
mod responder;
mod sign_in;
mod trouble;
mod web;
mod workers;

pub use chat::{Chat, Config, OpenChatError};
pub use database::{DatabaseError, OpenDatabaseError};
pub use password::PasswordError;
pub use responder::{InvalidProvider, Patience, Provider, Responder};

use super::*;
use futures_util::future::BoxFuture;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tetherline_protocol::*;

/// What a store may be told.
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    pub dedupe_window: Duration,
}
/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// x
    #[error("in use {0}")]
    InUse(PathBuf),
}
/// Mailboxes in one SQLite file.
pub struct SqliteStore;
impl SqliteStore {
    /// Opens.
    pub fn open(_path: &Path) -> Result<Self, OpenError> {
        Ok(Self)
    }
}
impl Mailbox for SqliteStore {
    fn append(
        &self,
        _user: &UserId,
        _key: Option<&IdempotencyKey>,
        _message: Arc<frame::Message>,
    ) -> BoxFuture<'_, Result<Appended, AppendError>> {
        unimplemented!()
    }
    fn read(
        &self,
        _user: &UserId,
        _after: Seq,
        _room: Room,
    ) -> BoxFuture<'_, Result<Vec<Delivery>, StoreError>> {
        unimplemented!()
    }
    fn head(&self, _user: &UserId) -> BoxFuture<'_, Result<Head, StoreError>> {
        unimplemented!()
    }
    fn locate(
        &self,
        _user: &UserId,
        _device: Option<&DeviceId>,
    ) -> BoxFuture<'_, Result<Place, StoreError>> {
        unimplemented!()
    }
    fn acknowledge(
        &self,
        _user: &UserId,
        _device: Option<&DeviceId>,
        _seq: Seq,
    ) -> BoxFuture<'_, Result<(), StoreError>> {
        unimplemented!()
    }
}
impl Inbox for SqliteStore {
    fn outcome(
        &self,
        _user: &UserId,
        _id: &MessageId,
    ) -> BoxFuture<'_, Result<Option<Outcome>, StoreError>> {
        unimplemented!()
    }
    fn record(
        &self,
        _user: &UserId,
        _id: &MessageId,
        _outcome: &Outcome,
    ) -> BoxFuture<'_, Result<(), StoreError>> {
        unimplemented!()
    }
}

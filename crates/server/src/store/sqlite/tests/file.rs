//! A mailbox's file without a store.

use std::path::PathBuf;

use rusqlite::Connection;

use crate::store::sqlite::{presence, schema};

/// In a folder that goes with it.
pub(crate) struct File {
    pub(crate) path: PathBuf,
    _folder: tempfile::TempDir,
}

impl File {
    /// One of this program's format, with nothing in it.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mailbox.db");
        presence::create(&path).unwrap();
        schema::migrate(&mut schema::connect(&path).unwrap()).unwrap();
        Self { path, _folder: folder }
    }

    /// As after a start. No disk is lost here, only transactions.
    pub(crate) fn connect(&self) -> Connection {
        let connection = schema::connect(&self.path).unwrap();
        connection.pragma_update(None, "synchronous", "OFF").unwrap();
        connection
    }
}

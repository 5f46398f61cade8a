use std::sync::Arc;

use axum::{Json, extract::State};
use serde::Serialize;
use tetherline_protocol::UserId;

use crate::{
    connection::hub::Backlog,
    http::{answer::Problem, publisher::Admin},
    server::Shared,
};

/// Users that are listed at most.
const BACKLOGS_MAX: usize = 20;

#[derive(Serialize)]
pub(super) struct Row {
    user: UserId,
    connections: usize,
    waiting: u64,
    unhandled: u64,
}

/// `GET /v1/backlogs`: who of those who are connected is furthest behind. It looks at every connection, in memory.
pub(super) async fn backlogs(
    State(shared): State<Arc<Shared>>,
    admin: Admin,
) -> Result<Json<Vec<Row>>, Problem> {
    admin.expect_everybody()?;
    let row = |backlog: Backlog| {
        let Backlog { user, connections, waiting, unhandled } = backlog;
        Row { user, connections, waiting, unhandled }
    };
    Ok(Json(shared.hub.backlogs(BACKLOGS_MAX).into_iter().map(row).collect()))
}

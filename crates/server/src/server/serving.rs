use std::io;

use axum::Router;

use super::Server;
use crate::Listener;
use crate::http::{admin, nothing_there, router, serve_within};

impl Server {
    /// `/ws`, `/ws/user/{user}`, `/v1/messages`, everything below `/v1/users/{user}`, `/healthz` and `/readyz`, to be served
    /// or merged into another router.
    pub fn router(&self) -> Router {
        router(self.shared.clone())
    }

    /// The same below `path_prefix`, which begins with a slash, as all that there is: whatever else is asked for is refused in
    /// the form of everything else.
    pub fn whole_router(&self, path_prefix: Option<&str>) -> Router {
        let app = match path_prefix {
            Some(prefix) => Router::new().nest(prefix, self.router()),
            None => self.router(),
        };
        app.fallback(nothing_there)
    }

    /// What an admin listener answers: `/healthz`, `/readyz` and `/metrics`, for loopback and the inner network. Serve it with
    /// [`serve`](crate::serve) on a listener of its own, for as long as this server drains.
    pub fn admin_router(&self) -> Router {
        admin::router(self.shared.clone())
    }

    /// Serves `app`, which has [`Server::router`] in it, as [`serve`](crate::serve) does, and cuts who connects too
    /// fast, see [`Rates::accepts_per_address`](crate::Rates::accepts_per_address).
    pub async fn serve(
        &self,
        listener: impl Into<Listener>,
        app: Router,
        shutdown: impl Future<Output = ()>,
    ) -> io::Result<()> {
        serve_within(listener.into(), Some(self.shared.meters.clone()), app, shutdown).await
    }
}

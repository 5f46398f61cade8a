//! Which of our routes a request is for, for whoever counts: a layer around each of them would cost every publish as much as
//! its frame does.

/// The hot ones first.
const ROUTES: [&str; 27] = [
    "/v1/users/{user}/messages",
    "/v1/messages",
    "/ws/user/{user}",
    "/ws",
    "/v1/users/{user}/streams/{message_uuid}/{attempt}/text",
    "/v1/users/{user}/streams",
    "/v1/users/{user}/streams/{message_uuid}",
    "/v1/users/{user}/streams/{message_uuid}/{attempt}",
    "/v1/users/{user}/streams/{message_uuid}/{attempt}/finish",
    "/v1/users/{user}",
    "/v1/users/{user}/devices",
    "/v1/users/{user}/presence",
    "/v1/users/{user}/inspection",
    "/v1/users/{user}/trace",
    "/v1/users/{user}/disconnect",
    "/v1/users/{user}/connections/{connection_id}",
    "/v1/users/{user}/sessions",
    "/v1/users/{user}/sessions/{session}",
    "/v1/presence",
    "/v1/tickets",
    "/v1/keys",
    "/v1/keys/{name}",
    "/v1/openapi.json",
    "/v1/docs",
    "/v1/docs.css",
    "/healthz",
    "/readyz",
];

/// What all of them begin with.
const STARTS: [&str; 4] = ["/v1/", "/ws", "/healthz", "/readyz"];

/// The pattern that a path fits, below whatever prefix; `none` for what is not ours.
pub(super) fn route_of(path: &str) -> &'static str {
    // Searching costs more than all the rest, so only below a prefix, which is the operator's, it is done.
    let is_start = |start: &&&str| path.starts_with(**start);
    let start = match STARTS.iter().find(is_start) {
        Some(_) => 0,
        None => STARTS.iter().filter_map(|start| path.find(start)).min().unwrap_or(0),
    };
    let path = &path[start..];
    ROUTES.into_iter().find(|route| fits(route, path)).unwrap_or("none")
}

fn fits(route: &str, path: &str) -> bool {
    // Byte by byte: texts so short are not worth a search for each slash.
    let mut parts = route.as_bytes().split(|byte| *byte == b'/');
    let mut segments = path.as_bytes().split(|byte| *byte == b'/');
    loop {
        match (parts.next(), segments.next()) {
            (None, None) => return true,
            (Some(part), Some(segment)) if part == segment || part.starts_with(b"{") => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_that_is_described_is_known_by_its_pattern() {
        for path in crate::http::api().into_openapi().paths.paths.keys() {
            assert_eq!(route_of(path), path);
        }
    }

    #[test]
    fn a_path_is_known_below_a_prefix_and_nothing_that_anybody_made_up_is_told() {
        let messages = "/v1/users/{user}/messages";
        assert_eq!(route_of("/v1/users/ada/messages"), messages);
        assert_eq!(route_of("/realtime/v1/users/auth0%7C5/messages"), messages);
        assert_eq!(route_of("/realtime/ws"), "/ws");
        for strange in
            ["/", "", "/v1/", "/v1/secret", "/wsx", "/app/page", "/v1/users/ada/messages/x"]
        {
            assert_eq!(route_of(strange), "none", "{strange}");
        }
    }
}

/// One way to ask something.
pub(super) struct Operation {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) id: &'static str,
    pub(super) summary: &'static str,
    /// What an API key has to be for; none where nobody has to show one.
    pub(super) scope: Option<&'static str>,
    pub(super) query: &'static [&'static str],
    pub(super) headers: &'static [&'static str],
    pub(super) body: Option<Body>,
    /// What it is answered with that was done, with the schema of that; none without a body.
    pub(super) answers: &'static [(u16, &'static str)],
    /// Besides what every operation may be refused with.
    pub(super) refused: &'static [u16],
}

pub(super) struct Body {
    pub(super) schema: &'static str,
    pub(super) is_required: bool,
    pub(super) media: &'static [&'static str],
}

impl Operation {
    const fn new(
        (method, path): (&'static str, &'static str),
        id: &'static str,
        summary: &'static str,
        answers: &'static [(u16, &'static str)],
    ) -> Self {
        Self {
            method,
            path,
            id,
            summary,
            scope: None,
            query: &[],
            headers: &[],
            body: None,
            answers,
            refused: &[],
        }
    }

    const fn scope(self, scope: &'static str) -> Self {
        Self { scope: Some(scope), ..self }
    }

    const fn query(self, query: &'static [&'static str]) -> Self {
        Self { query, ..self }
    }

    const fn headers(self, headers: &'static [&'static str]) -> Self {
        Self { headers, ..self }
    }

    const fn json(self, schema: &'static str) -> Self {
        Self {
            body: Some(Body { schema, is_required: true, media: &["application/json"] }),
            ..self
        }
    }

    const fn json_if_any(self, schema: &'static str) -> Self {
        let media = &["application/json"];
        Self { body: Some(Body { schema, is_required: false, media }), ..self }
    }

    const fn json_or_lines(self, schema: &'static str) -> Self {
        let media = &["application/json", "application/x-ndjson"];
        Self { body: Some(Body { schema, is_required: true, media }), ..self }
    }

    const fn refused(self, refused: &'static [u16]) -> Self {
        Self { refused, ..self }
    }

    /// With a key: without one, a wrong one, one for something else, from an address that tries too many. With a body:
    /// one that is none, too slow, too large, or coded.
    pub(super) fn refusals(&self) -> Vec<u16> {
        let mut refusals = Vec::new();
        if self.scope.is_some() {
            refusals.extend([400, 401, 403, 429, 503]);
        }
        if self.body.is_some() {
            refusals.extend([400, 408, 413, 415, 503]);
        }
        refusals.extend(self.refused);
        refusals.sort_unstable();
        refusals.dedup();
        refusals
    }
}

pub(super) const OPERATIONS: &[Operation] = &[
    Operation::new(
        ("post", "/v1/users/{user}/messages"),
        "publish",
        "Publish a message to a user",
        &[(200, "Published"), (201, "Published"), (202, "PublishedLive")],
    )
    .scope("publish")
    .query(&["durable"])
    .headers(&["Idempotency-Key"])
    .json("Message")
    .refused(&[409]),
    Operation::new(
        ("get", "/v1/users/{user}/messages"),
        "readMailbox",
        "Read a mailbox page by page",
        &[(200, "Page")],
    )
    .scope("read` and `publish")
    .query(&["after", "limit"]),
    Operation::new(
        ("post", "/v1/messages"),
        "publishMany",
        "Publish many messages with one request",
        &[(200, "PublishedItem[]"), (207, "PublishedItem[]")],
    )
    .scope("publish")
    .json_or_lines("Items"),
    Operation::new(("get", "/v1/users/{user}"), "head", "Where a mailbox ends", &[(200, "Head")])
        .scope("read"),
    Operation::new(
        ("delete", "/v1/users/{user}"),
        "erase",
        "Forget everything about a user",
        &[(204, "")],
    )
    .scope("admin"),
    Operation::new(
        ("get", "/v1/users/{user}/devices"),
        "devices",
        "Where each device is",
        &[(200, "Device[]")],
    )
    .scope("read"),
    Operation::new(
        ("get", "/v1/users/{user}/presence"),
        "presence",
        "How many connections are open",
        &[(200, "Presence")],
    )
    .scope("read"),
    Operation::new(
        ("post", "/v1/presence"),
        "presenceOfMany",
        "The same of many users",
        &[(200, "PresenceOfMany")],
    )
    .scope("read")
    .json("Users"),
    Operation::new(
        ("get", "/v1/users/{user}/inspection"),
        "inspect",
        "Everything that is known of a user, and why a message has not arrived",
        &[(200, "Inspection")],
    )
    .scope("admin")
    .query(&["seq"]),
    Operation::new(
        ("post", "/v1/users/{user}/disconnect"),
        "disconnect",
        "Close what is open of a user",
        &[(204, "")],
    )
    .scope("admin"),
    Operation::new(
        ("get", "/v1/users/{user}/sessions"),
        "signOuts",
        "Sign-outs that are remembered",
        &[(200, "SignOut[]")],
    )
    .scope("admin"),
    Operation::new(
        ("delete", "/v1/users/{user}/sessions"),
        "signOut",
        "Sign a user out everywhere",
        &[(204, "")],
    )
    .scope("admin")
    .refused(&[409]),
    Operation::new(
        ("delete", "/v1/users/{user}/sessions/{session}"),
        "signOutOfSession",
        "End one session of a user",
        &[(204, "")],
    )
    .scope("admin")
    .refused(&[409]),
    Operation::new(
        ("post", "/v1/tickets"),
        "issueTicket",
        "A ticket that opens one connection",
        &[(201, "Ticket")],
    )
    .scope("admin")
    .json("TicketWish"),
    Operation::new(
        ("get", "/v1/users/{user}/streams"),
        "streams",
        "Streams that are not finished",
        &[(200, "OpenStream[]")],
    )
    .scope("read"),
    Operation::new(
        ("post", "/v1/users/{user}/streams"),
        "openStream",
        "Begin an attempt at a stream",
        &[(200, "OpenedStream"), (201, "OpenedStream")],
    )
    .scope("publish")
    .json("StreamOpening")
    .refused(&[409]),
    Operation::new(
        ("get", "/v1/users/{user}/streams/{message_uuid}"),
        "readStream",
        "How far a stream is",
        &[(200, "StreamState")],
    )
    .scope("read")
    .refused(&[404]),
    Operation::new(
        ("post", "/v1/users/{user}/streams/{message_uuid}/{attempt}/text"),
        "addText",
        "Add text to a stream",
        &[(200, "Added")],
    )
    .scope("publish")
    .query(&["offset"])
    .json_or_lines("Text")
    .refused(&[404, 409]),
    Operation::new(
        ("post", "/v1/users/{user}/streams/{message_uuid}/{attempt}/finish"),
        "finishStream",
        "End a stream",
        &[(200, "FinishedStream")],
    )
    .scope("publish")
    .json_if_any("StreamEnding")
    .refused(&[404, 409]),
    Operation::new(
        ("delete", "/v1/users/{user}/streams/{message_uuid}/{attempt}"),
        "cancelStream",
        "End a stream as stopped",
        &[(200, "FinishedStream")],
    )
    .scope("publish")
    .refused(&[404, 409]),
    Operation::new(("get", "/healthz"), "health", "Whether the process serves", &[(200, "Health")]),
    Operation::new(
        ("get", "/readyz"),
        "readiness",
        "Whether to send anybody here",
        &[(200, "Health")],
    )
    .refused(&[503]),
    Operation::new(
        ("get", "/v1/openapi.json"),
        "description",
        "This description",
        &[(200, "Description")],
    ),
];

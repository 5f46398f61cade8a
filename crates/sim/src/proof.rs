//! Pages that show by their messages that they read the mailbox that they are connected to.

use tetherline_engine::{ConnectionNo, IdNo};
use tetherline_protocol::frame::PositionChecked;

use crate::world::{LinkNo, PageNo, World};

impl World {
    pub(crate) fn position_checked(
        &mut self,
        page: PageNo,
        link: LinkNo,
        connection: ConnectionNo,
        checked: &PositionChecked,
    ) {
        let now = self.instant(page);
        let after = self.ids.mark(checked.after, checked.after_id.as_ref());
        let from = self.ids.mark(checked.from, checked.from_id.as_ref());
        let target = &mut self.pages[page];
        let is_mine =
            target.reading.position() == after.seq.get() && target.engine.position_id() == after.id;
        let is_refuted = is_mine && !checked.is_known();
        if is_refuted {
            target.reading.refute(from.seq.get());
        } else if is_mine && self.link_of(page) == Some(link) {
            self.goes_on(page, link);
        }
        let target = &mut self.pages[page];
        target.engine.handle_checked(connection, after, from, now);
        let is_named = !target.reading.can_prove && target.engine.position_id() != IdNo::NONE;
        if is_named && !is_refuted {
            // The page knew its position by number alone. The answer to another tab has told it which
            // message stands there, and what it is told it proves itself with from here on.
            self.goes_on(page, link);
        }
    }
}

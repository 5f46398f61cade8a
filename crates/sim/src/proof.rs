//! Pages that show by their messages that they read the mailbox that they are connected to.

use tetherline_engine::ConnectionNo;
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
        if is_mine && !checked.is_known() {
            target.reading.refute(from.seq.get());
        } else if is_mine && self.link_of(page) == Some(link) {
            self.goes_on(page, link);
        }
        let target = &mut self.pages[page];
        target.engine.handle_checked(connection, after, from, now);
    }
}

//! Pages that show by their messages that they read the mailbox that they are connected to.

use tetherline_engine::ConnectionNo;
use tetherline_protocol::frame::PositionChecked;

use crate::world::{PageNo, World};

impl World {
    pub(crate) fn position_checked(
        &mut self,
        page: PageNo,
        connection: ConnectionNo,
        checked: &PositionChecked,
    ) {
        let now = self.instant(page);
        let after = self.ids.mark(checked.after, checked.after_id.as_ref());
        let from = self.ids.mark(checked.from, checked.from_id.as_ref());
        self.pages[page].engine.handle_checked(connection, after, from, now);
    }
}

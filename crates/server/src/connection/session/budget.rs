/// How much misuse a connection is answered for, before it is closed. Good use earns it back, slowly:
/// otherwise one good frame in seventeen would keep a bad client for ever.
pub(super) struct Budget {
    left: u32,
    max: u32,
    good: u32,
    good_per_bad: u32,
}

impl Budget {
    /// `max` at once, and one more for every `good_per_bad`.
    pub(super) fn new(max: u32, good_per_bad: u32) -> Self {
        Self { left: max, max, good: 0, good_per_bad }
    }

    /// Something was as it should be.
    pub(super) fn earn(&mut self) {
        self.good += 1;
        if self.good >= self.good_per_bad {
            self.good = 0;
            self.left = self.max.min(self.left + 1);
        }
    }

    /// Something was not; answers whether it can be put up with.
    pub(super) fn spend(&mut self) -> bool {
        let is_left = self.left > 0;
        self.left = self.left.saturating_sub(1);
        is_left
    }
}

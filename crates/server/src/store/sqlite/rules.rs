use std::sync::Mutex;

use tetherline_protocol::{Limits, Seq};

use crate::lock::lock;

/// A mailbox may be over its count by a sixteenth or so many messages, whichever is less. Then it is
/// trimmed to the count, so that a full mailbox does not cost a deletion per message.
const SLACK_MESSAGES_MAX: u64 = 256;
/// The last use of a device is noted this many times while it lasts unused, and not more often.
const USES_PER_RETENTION: i64 = 32;

/// The limits that the store works by; see [`super::super::Upkeep::work_by`].
pub(super) struct Rules(Mutex<Rule>);

#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    /// How many were set before: two with the same limits are not the same rule, because what
    /// happened in between went by another.
    pub(super) number: u64,
    pub(super) devices_max: usize,
    pub(super) device_retention_ms: i64,
    pub(super) dedupe_window_ms: i64,
    pub(super) retention_age_ms: Option<i64>,
    pub(super) retention_messages_max: Option<u64>,
    pub(super) stream_bytes_max: usize,
    pub(super) streams_per_user_max: usize,
    pub(super) streams_bytes_max: usize,
    pub(super) stream_idle_ms: i64,
    pub(super) stream_stop_grace_ms: i64,
    /// Not one of the limits that clients are told.
    pub(super) sign_outs_kept_ms: i64,
    /// Neither are these: how many outcomes of a user's sends are kept, and how many bytes of them.
    pub(super) outcomes_max: u64,
    pub(super) outcome_bytes_max: u64,
}

impl Default for Rules {
    /// Nothing is trimmed by a rule that nobody has named.
    fn default() -> Self {
        let mut limits = Limits::default();
        limits.retention_age_ms = 0;
        limits.retention_messages_max = 0;
        Self(Mutex::new(Rule::of(&limits)))
    }
}

impl Rules {
    pub(super) fn set(&self, limits: &Limits) {
        let mut rule = lock(&self.0);
        let Rule { number, sign_outs_kept_ms, outcomes_max, outcome_bytes_max, .. } = *rule;
        let number = number + 1;
        *rule =
            Rule { number, sign_outs_kept_ms, outcomes_max, outcome_bytes_max, ..Rule::of(limits) };
    }

    pub(super) fn keep_sign_outs_for(&self, ms: i64) {
        lock(&self.0).sign_outs_kept_ms = ms;
    }

    pub(super) fn keep_outcomes(&self, count_max: u64, bytes_max: u64) {
        let mut rule = lock(&self.0);
        (rule.outcomes_max, rule.outcome_bytes_max) = (count_max, bytes_max);
    }

    pub(super) fn get(&self) -> Rule {
        *lock(&self.0)
    }

    pub(super) fn should_note_use(&self, seen_at: i64, now: i64) -> bool {
        // A use that is still to come was noted by a clock that was wrong.
        let unused_ms = now.saturating_sub(seen_at).saturating_abs();
        unused_ms > self.get().device_retention_ms / USES_PER_RETENTION
    }
}

impl Rule {
    fn of(limits: &Limits) -> Self {
        let millis = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
        Self {
            number: 0,
            devices_max: limits.devices_max,
            device_retention_ms: millis(limits.device_retention_ms),
            dedupe_window_ms: millis(limits.dedupe_window_ms),
            retention_age_ms: (limits.retention_age_ms > 0)
                .then_some(millis(limits.retention_age_ms)),
            retention_messages_max: (limits.retention_messages_max > 0)
                .then_some(limits.retention_messages_max),
            stream_bytes_max: limits.stream_bytes_max,
            streams_per_user_max: limits.streams_per_user_max,
            streams_bytes_max: limits.streams_bytes_max,
            stream_idle_ms: millis(limits.stream_idle_ms),
            stream_stop_grace_ms: millis(limits.stream_stop_grace_ms),
            sign_outs_kept_ms: i64::MAX,
            outcomes_max: u64::MAX,
            outcome_bytes_max: u64::MAX,
        }
    }

    /// How long it is known of a finished stream which attempt it was and how it ended: as long as
    /// its message may be kept, or its writer may repeat itself. `None`: for ever.
    pub(super) fn finished_ms(&self) -> Option<i64> {
        Some(self.retention_age_ms?.max(self.dedupe_window_ms))
    }

    /// Up to where a mailbox is to be trimmed, if it is over its count by more than the slack.
    pub(super) fn excess(&self, head: Seq, trimmed: Seq) -> Option<Seq> {
        let count_max = self.retention_messages_max?;
        let slack = (count_max / 16).min(SLACK_MESSAGES_MAX);
        let over = head.distance_from(trimmed) > count_max.saturating_add(slack);
        over.then(|| Seq::new(head.get() - count_max)).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mailbox_may_be_over_its_count_by_the_slack_and_is_then_trimmed_to_the_count() {
        let excess = |count_max, head, trimmed| {
            let mut limits = Limits::default();
            limits.retention_messages_max = count_max;
            let until =
                Rule::of(&limits).excess(Seq::new(head).unwrap(), Seq::new(trimmed).unwrap());
            until.map(Seq::get)
        };
        assert_eq!(excess(5, 5, 0), None);
        assert_eq!(excess(5, 6, 0), Some(1));
        assert_eq!(excess(5, 6, 1), None);
        assert_eq!(excess(160, 170, 0), None, "a sixteenth");
        assert_eq!(excess(160, 171, 0), Some(11));
        assert_eq!(excess(10_000, 10_256, 0), None, "at most 256");
        assert_eq!(excess(10_000, 10_257, 0), Some(257));
        assert_eq!(excess(0, 1_000_000, 0), None, "0 is all");
    }
}

//! The promise under thousands of seeds, and the proof that the checker would notice.

use tetherline_sim::{Mutant, run};

/// About 20 s on two cores together with the rest of this file; `cargo xtask sim` runs more.
const SEEDS: u64 = 2_000;

/// What broke a promise, or seemed to, further on, and what was wrong then.
const MENDED: &[(u64, &str)] = &[
    (60_008_333, CURSOR_OF_LATER),
    (80_009_512, CURSOR_OF_LATER),
    (300_001_016, CURSOR_OF_LATER),
    (50_032_792, CHANNEL_OPENED_TWICE),
    (300_000_386, CHANNEL_OPENED_TWICE),
    (300_035_443, BEYOND_THE_DEVICE),
    (300_091_025, TRIMMED_BUT_IN_MEMORY),
    (300_127_840, OLDER_HISTORY_PUT_OFF),
    (300_138_313, WAITED_FOR_IN_VAIN),
    (100_060_709, KNOWN_BY_NUMBER),
    (100_132_827, KNOWN_BY_NUMBER),
    (100_220_544, NOBODYS_PROOF),
    (300_209_473, READ_AFTER_ERASURE),
    (300_230_965, THAWED_LEADER_FOLLOWED),
    (300_348_375, NOTHING_AND_OLDER_HISTORY),
    (120_334_430, REFUSED_AND_OVERTAKEN),
    (100_098_466, TEXT_BEHIND_ANOTHER),
    (100_192_663, GAP_OF_BEFORE),
    (100_258_611, GAP_OF_BEFORE),
    (100_260_791, OUT_OF_SIGHT),
    (100_286_568, BEHIND_WHAT_WAITS),
    (300_354_644, BEHIND_WHAT_WAITS),
    (300_334_899, ACKNOWLEDGED_BEFORE),
    (110_086_341, WELCOMED_IN_VAIN),
    (110_178_341, GAP_OF_BEFORE),
    (400_018_063, NAMED_BY_ANOTHERS_ANSWER),
    (500_031_701, ASKED_ONCE_FOR_EACH_REPEAT),
    (600_136_216, WAITED_FOR_EACH_OTHER),
    (700_095_555, TEXT_BESIDE_THE_POSITION),
    (700_570_212, AHEAD_BY_A_PIECE),
    (700_225_816, ASKED_BEHIND_SENDS),
    (900_364_317, REFUSAL_LOST),
];

/// A page that was told where its device stood was held to what a crash had left of that meanwhile.
const CURSOR_OF_LATER: &str = "the checker compared with a cursor of later";

/// What other tabs had posted was lost on a model page that signed in once more after a refusal. The
/// browser's keeps the channel that it has.
const CHANNEL_OPENED_TWICE: &str = "a page's open channel gave way to another";

const BEYOND_THE_DEVICE: &str =
    "a page that had asked for older history and got nothing stayed where it had begun";

const TRIMMED_BUT_IN_MEMORY: &str =
    "what was trimmed, and in memory, followed a message that had never stood before it";

const OLDER_HISTORY_PUT_OFF: &str =
    "what a tab had put off until it was proved it put off further when there was nothing to prove";

const WAITED_FOR_IN_VAIN: &str =
    "a send that had settled came twice, was refused for now, and held back all later ones";

/// The connection broke behind a gap, or in the middle of older messages, and a backup came back by hand:
/// the page went on from a position whose message it did not know, past others that it never got.
const KNOWN_BY_NUMBER: &str = "a page went on from a position that it knew by number alone";

/// The first message of the new history had no handler on this page, and counts as handled all the same.
const NOBODYS_PROOF: &str = "the checker took a message that nobody wants for another tab's";

const READ_AFTER_ERASURE: &str = "a connection from before an erasure read what was published after it, and its page got that twice";

/// The leading tab saw by its hash that the other's text was of a history that is no more.
const TEXT_BEHIND_ANOTHER: &str = "a leading tab's text was put behind another text";

const GAP_OF_BEFORE: &str = "the checker held a gap of a history that had just been replaced to what the new one had trimmed";

const OUT_OF_SIGHT: &str =
    "the checker saw a stream at the question and at the answer, which the store hid in between";

/// It answers what it was asked before the lock was taken from it.
const THAWED_LEADER_FOLLOWED: &str =
    "a tab went over from the next leader to one that thawed, and took for news what was none";

const BEHIND_WHAT_WAITS: &str = "the checker expected text at once where messages waited for an acknowledgement of the leading tab";

const NOTHING_AND_OLDER_HISTORY: &str =
    "a page that had nothing and had put off older history did not simply begin there";

const ACKNOWLEDGED_BEFORE: &str =
    "the checker took what an older history had asked for once more for acknowledged unhandled";

const WELCOMED_IN_VAIN: &str =
    "a model page that ignores a welcome took it for its way to the server all the same";

const REFUSED_AND_OVERTAKEN: &str = "a send that was refused behind a repeat of the one before was overtaken by what had had no room";

/// It had begun there by the number alone, as of its application's history of the new mailbox, and what it
/// was told was of that mailbox too.
const NAMED_BY_ANOTHERS_ANSWER: &str = "the checker took a page that the answer to another tab had told its message for one that knew it from before";

/// Each answer was a gap, at which all tabs forgot their text.
const ASKED_ONCE_FOR_EACH_REPEAT: &str =
    "what two tabs repeated while a question waited was asked once for each repeat";

/// The leading tab dropped what followed another tab's question, so it did not acknowledge it, and asked for its
/// own only once the server was through with that.
const WAITED_FOR_EACH_OTHER: &str = "leading tab and server waited for each other";

/// What the leading tab passed on was put behind it, in the middle of a surrogate pair.
const TEXT_BESIDE_THE_POSITION: &str = "a tab at the leading one's position showed that its messages are of this mailbox, and not that its text is";

const AHEAD_BY_A_PIECE: &str = "an attempt of which a page had seen a piece and shown nothing kept that of a restored backup away, which was an earlier one";

const ASKED_BEHIND_SENDS: &str =
    "the checker expected the answer to a question that waited behind a thousand sends";

/// A stop for which there was nothing was refused, a later send was accepted, and a backup came back that knew of
/// neither and had what was to be stopped.
const REFUSAL_LOST: &str = "the checker held a stop whose refusal a backup had lost to its place";

#[test]
fn every_promise_is_kept_whatever_goes_wrong() {
    for seed in 0..SEEDS {
        let report = run(seed, None);
        assert!(report.failure.is_none(), "{report}");
    }
}

#[test]
fn what_was_mended_stays_so() {
    for (seed, what) in MENDED {
        let report = run(*seed, None);
        assert!(report.failure.is_none(), "{report}\nonce, {what}");
    }
}

#[test]
fn a_seed_is_a_whole_run() {
    for seed in [0, 1, 187, 1_315, u64::MAX] {
        assert_eq!(run(seed, None), run(seed, None));
    }
    assert_ne!(run(0, None).hash, run(1, None).hash);
}

#[test]
fn a_broken_promise_comes_with_its_story_and_the_way_to_replay_it() {
    let broken = |seed| run(seed, Some(Mutant::CursorBeforeHandler));
    let report = (0..100).map(broken).find(|report| report.failure.is_some()).expect("it is found");
    let text = report.to_string();
    assert!(text.contains("acknowledges"), "{text}");
    assert!(text.contains(&format!("cargo xtask sim --from {} --seeds 1", report.seed)), "{text}");
    assert_eq!(report, broken(report.seed));
}

#[test]
fn every_planted_bug_is_found() {
    let mut missed = Vec::new();
    for mutant in Mutant::ALL {
        let found = (0..Mutant::SEEDS_MAX).find(|seed| run(*seed, Some(mutant)).failure.is_some());
        match found {
            Some(seed) => println!("{mutant:?}: found by seed {seed}"),
            None => missed.push(mutant),
        }
    }
    assert!(missed.is_empty(), "not found: {missed:?}");
}

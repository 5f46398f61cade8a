//! A clock that is wrong takes nothing from anybody.

use super::{super::super::Streams as _, *};
use crate::clock::judge::CLOCK_STANDS_MS;

const NOON_MS: i64 = 1_795_435_200_000;
pub(super) const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// A clock that is set, and the time that passes meanwhile.
#[derive(Clone)]
pub(super) struct Hands(Arc<std::sync::Mutex<(i64, Instant)>>);

impl Hands {
    pub(super) fn new() -> Self {
        Self(Arc::new(std::sync::Mutex::new((NOON_MS, Instant::now()))))
    }

    pub(super) fn setup(&self) -> Setup {
        let hands = self.0.clone();
        Setup { clock: Arc::new(move || *hands.lock().unwrap()), ..Setup::default() }
    }

    /// Somebody sets it.
    fn jump(&self, by_ms: i64) {
        self.0.lock().unwrap().0 += by_ms;
    }

    /// It goes on, and so does everything.
    pub(super) fn pass(&self, ms: i64) {
        let mut hands = self.0.lock().unwrap();
        hands.0 += ms;
        hands.1 += Duration::from_millis(ms.unsigned_abs());
    }
}

/// Has the store look, until it has nothing more to forget.
pub(super) async fn look(store: &SqliteStore) {
    while store.writer.ask(0, |reply| Command::Look { reply }).await.unwrap() {}
}

async fn positions(store: &SqliteStore, name: &str) -> Vec<u64> {
    let room = Room { messages: 10_000, bytes: 1 << 20 };
    let epoch = store.head(&user(name)).await.unwrap().epoch;
    let page = store.read(&user(name), &epoch, Seq::ZERO, room).await.unwrap();
    page.iter().map(|delivery| delivery.seq.get()).collect()
}

fn thirty_days() -> Limits {
    let mut limits = Limits::default();
    (limits.retention_age_ms, limits.dedupe_window_ms) = (30 * DAY_MS as u64, 7 * DAY_MS as u64);
    limits
}

#[tokio::test]
async fn a_clock_that_jumps_forward_for_a_moment_takes_nothing_and_leaves_nothing_in_the_way() {
    // Forty days forward for twelve seconds, and everything of everybody was trimmed.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mailbox.db");
    let hands = Hands::new();
    let store = SqliteStore::open_with(&path, hands.setup()).unwrap();
    store.work_by(&thirty_days());
    append(&store, "ada", Some("k1".into()), "x").await;
    hands.pass(1_000);
    hands.jump(40 * DAY_MS);
    for _ in 0..2_100 {
        append(&store, "eve", None, "dated forty days on").await;
    }
    hands.pass(12_000);
    look(&store).await;
    assert_eq!(positions(&store, "ada").await, [1]);
    assert_eq!(append(&store, "ada", Some("k1".into()), "x").await.seq.get(), 1, "its key, too");
    hands.jump(-40 * DAY_MS);
    append(&store, "ada", None, "y").await;
    look(&store).await;
    drop(store);

    // What really grows old is trimmed when its time has come, those between included.
    hands.pass(DAY_MS / 24);
    let store = SqliteStore::open_with(&path, hands.setup()).unwrap();
    store.work_by(&thirty_days());
    for _ in 0..31 {
        look(&store).await;
        assert_eq!(positions(&store, "ada").await, [1, 2]);
        assert_eq!(positions(&store, "eve").await.len(), 2_100);
        hands.pass(DAY_MS - DAY_MS / 24);
    }
    hands.pass(3 * DAY_MS);
    for _ in 0..3 {
        look(&store).await;
        hands.pass(7 * DAY_MS / 24);
    }
    assert_eq!(positions(&store, "ada").await, [0_u64; 0]);
    assert_eq!(positions(&store, "eve").await, [0_u64; 0]);
}

#[tokio::test]
async fn messages_of_a_clock_that_was_wrong_when_the_file_was_written_stop_nobody() {
    // 2,048 rows dated in the future stopped trimming for everybody.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mailbox.db");
    let hands = Hands::new();
    let store = SqliteStore::open_with(&path, hands.setup()).unwrap();
    for _ in 0..2_100 {
        append(&store, "eve", None, "x").await;
    }
    append(&store, "ada", None, "x").await;
    drop(store);
    // As an older program left it.
    let file = rusqlite::Connection::open(&path).unwrap();
    let later = "UPDATE messages SET created_at = created_at + ?1 WHERE number <= 2100";
    file.execute(later, [400 * DAY_MS]).unwrap();
    file.execute("UPDATE meta SET clock_ms = NULL, misdated_from = NULL", []).unwrap();
    drop(file);
    let store = SqliteStore::open_with(&path, hands.setup()).unwrap();
    store.work_by(&thirty_days());
    look(&store).await;
    for _ in 0..32 {
        assert_eq!(positions(&store, "ada").await, [1]);
        hands.pass(DAY_MS - DAY_MS / 16);
        look(&store).await;
    }
    hands.pass(2 * DAY_MS);
    look(&store).await;
    assert_eq!(positions(&store, "ada").await, [0_u64; 0]);
}

#[tokio::test]
async fn who_was_away_for_long_forgets_once_the_clock_has_stood() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mailbox.db");
    let hands = Hands::new();
    let store = SqliteStore::open_with(&path, hands.setup()).unwrap();
    append(&store, "ada", None, "x").await;
    drop(store);
    hands.jump(40 * DAY_MS);
    let store = SqliteStore::open_with(&path, hands.setup()).unwrap();
    store.work_by(&thirty_days());
    look(&store).await;
    assert_eq!(positions(&store, "ada").await, [1]);
    append(&store, "ada", None, "y").await;
    hands.pass(i64::try_from(CLOCK_STANDS_MS).unwrap());
    look(&store).await;
    assert_eq!(positions(&store, "ada").await, [2], "forty days old, and six hours");
}

#[tokio::test]
async fn messages_of_a_clock_that_began_in_1970_are_as_old_as_what_follows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mailbox.db");
    let hands = Hands::new();
    hands.jump(-NOON_MS);
    let store = SqliteStore::open_with(&path, hands.setup()).unwrap();
    store.work_by(&thirty_days());
    append(&store, "ada", Some("k1".into()), "x").await;
    hands.jump(NOON_MS);
    append(&store, "ada", None, "y").await;
    hands.pass(i64::try_from(CLOCK_STANDS_MS).unwrap());
    for _ in 0..2 {
        look(&store).await;
        assert_eq!(append(&store, "ada", Some("k1".into()), "x").await.seq.get(), 1);
        assert_eq!(positions(&store, "ada").await, [1, 2]);
        hands.pass(6 * DAY_MS);
    }
}

#[tokio::test]
async fn a_stream_is_idle_for_as_long_as_nothing_comes_whatever_the_clock_says() {
    // A jump of five minutes interrupted all streams whose writers were a moment silent.
    let folder = tempfile::tempdir().unwrap();
    let hands = Hands::new();
    let path = folder.path().join("mailbox.db");
    let store = SqliteStore::open_with(&path, hands.setup()).unwrap();
    let opening = tetherline_protocol::frame::StreamOpening::parse("{}").unwrap();
    store.open_stream(&user("ada"), &"a1".parse().unwrap(), Arc::new(opening)).await.unwrap();
    hands.jump(5 * 60 * 1_000);
    assert_eq!(store.overdue_streams().await.unwrap(), []);
    hands.jump(40 * DAY_MS);
    assert_eq!(store.overdue_streams().await.unwrap(), []);
    hands.pass(5 * 60 * 1_000);
    assert_eq!(store.overdue_streams().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_server_that_was_off_for_long_forgets_nothing_that_was_made_since() {
    // Off for eight days, and six hours later each publish and send of those hours was taken twice: they
    // were dated eight days ago, as long as the clock was doubted.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mailbox.db");
    let hands = Hands::new();
    let store = SqliteStore::open_with(&path, hands.setup()).unwrap();
    append(&store, "ada", Some("k0".into()), "x").await;
    drop(store);
    hands.jump(8 * DAY_MS);
    let store = SqliteStore::open_with(&path, hands.setup()).unwrap();
    store.work_by(&thirty_days());
    assert_eq!(append(&store, "ada", Some("k1".into()), "y").await.seq.get(), 2);
    let asked = "q1".parse().unwrap();
    settle(&store, "ada", "s1", &Ok(None)).await;
    let stop = tetherline_protocol::StopTarget::Send(asked);
    store.stop_stream(&user("ada"), &stop).await.unwrap();
    store.locate(&user("ada"), Some(&"d1".parse().unwrap())).await.unwrap();

    let is_kept = async || {
        look(&store).await;
        assert_eq!(append(&store, "ada", Some("k1".into()), "y").await.seq.get(), 2, "its key");
        assert!(outcome(&store, "ada", "s1").await.is_some(), "a send");
        let file = rusqlite::Connection::open(&path).unwrap();
        let stops: i64 =
            file.query_row("SELECT count(*) FROM stream_stops", [], |row| row.get(0)).unwrap();
        assert_eq!(stops, 1, "a stop");
    };
    is_kept().await;
    hands.pass(i64::try_from(CLOCK_STANDS_MS).unwrap());
    is_kept().await;
    assert_eq!(append(&store, "ada", Some("k0".into()), "x").await.seq.get(), 3, "eight days old");
    hands.pass(6 * DAY_MS);
    is_kept().await;
    let file = rusqlite::Connection::open(&path).unwrap();
    let seen_at: i64 = file.query_row("SELECT seen_at FROM devices", [], |row| row.get(0)).unwrap();
    assert_eq!(seen_at, NOON_MS + 8 * DAY_MS, "when a device was used last");
    hands.pass(2 * DAY_MS);
    look(&store).await;
    assert_eq!(append(&store, "ada", Some("k1".into()), "y").await.seq.get(), 4, "and in its time");
}

#[tokio::test]
async fn keys_of_a_clock_that_was_ahead_are_kept_for_their_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mailbox.db");
    let stands_ms = i64::try_from(CLOCK_STANDS_MS).unwrap();
    // For a moment, and for so long that it was believed.
    for (name, ahead_ms) in [("eve", 60_000), ("ada", stands_ms)] {
        let hands = Hands::new();
        let path = path.with_file_name(name);
        let store = SqliteStore::open_with(&path, hands.setup()).unwrap();
        store.work_by(&thirty_days());
        append(&store, name, Some("k0".into()), "x").await;
        hands.jump(5 * DAY_MS);
        append(&store, name, Some("k1".into()), "x").await;
        hands.pass(ahead_ms);
        append(&store, name, Some("k2".into()), "x").await;
        hands.jump(-5 * DAY_MS);
        append(&store, name, Some("k3".into()), "x").await;
        for _ in 0..2 {
            hands.pass(stands_ms);
            look(&store).await;
            for (seq, key) in (1..).zip(["k0", "k1", "k2", "k3"]) {
                let repeated = append(&store, name, Some(key.into()), "x").await;
                assert_eq!(repeated.seq.get(), seq, "{key} of {name}");
            }
        }
        hands.pass(DAY_MS);
        append(&store, name, Some("k4".into()), "x").await;
        hands.pass(5 * DAY_MS);
        look(&store).await;
        for (seq, key) in (1..).zip(["k0", "k1", "k2", "k3", "k4"]) {
            let repeated = append(&store, name, Some(key.into()), "x").await;
            assert_eq!(repeated.seq.get(), seq, "{key} of {name}");
        }
        for _ in 0..3 {
            hands.pass(5 * DAY_MS);
            look(&store).await;
        }
        for (seq, key) in (6..).zip(["k0", "k1", "k2", "k3", "k4"]) {
            let published = append(&store, name, Some(key.into()), "x").await;
            assert_eq!(published.seq.get(), seq, "{key} of {name}, in the end");
        }
    }
}

use http::HeaderValue;

use super::*;

/// The key of RFC 8037, appendix A.2, under this name.
fn document(kid: &str) -> Vec<u8> {
    let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","kid":"{kid}","x":"{x}"}}]}}"#).into_bytes()
}

type Answer = Result<Fetched, Unfetched>;

fn fetched(kid: &str, fresh_for: Option<Duration>) -> Fetched {
    Fetched { document: document(kid), fresh_for }
}

fn away() -> Answer {
    Err(Unfetched::Unreachable("it is away".into()))
}

fn secs(secs: f64) -> Duration {
    Duration::from_secs_f64(secs)
}

/// A machine on a clock of its own.
struct Bench {
    start: Instant,
    refresh: Refresh,
}

impl Bench {
    fn new() -> Self {
        let start = Instant::now();
        Self { start, refresh: Refresh::new(JwksTimes::default(), start) }
    }

    fn at(&self, secs: f64) -> Instant {
        self.start + Duration::from_secs_f64(secs)
    }

    /// Fetches at this time, which has to be one for it.
    fn fetch(&mut self, secs: f64, answer: Answer) -> Result<usize, Unfetched> {
        let now = self.at(secs);
        assert_eq!(self.refresh.next(now), Next::Fetch, "at {secs} s");
        self.refresh.fetched(answer, now, 1.0)
    }

    /// When it wants to be asked again.
    fn due(&mut self, secs: f64) -> Duration {
        let now = self.at(secs);
        match self.refresh.next(now) {
            Next::Wait(until) => until - self.start,
            Next::Fetch => panic!("it is due at {secs} s"),
        }
    }

    fn kids(&self, secs: f64) -> Vec<String> {
        let keys = self.refresh.keys(self.at(secs));
        keys.into_iter()
            .flat_map(|keys| keys.iter())
            .filter_map(|key| key.kid())
            .map(Into::into)
            .collect()
    }

    fn missed(&mut self, secs: f64) -> Miss {
        let now = self.at(secs);
        self.refresh.missed(now)
    }
}

#[test]
fn keys_are_fetched_at_once_and_again_when_they_are_old() {
    let mut bench = Bench::new();
    assert!(bench.kids(0.0).is_empty());
    assert_eq!(bench.fetch(0.0, Ok(fetched("a", None))), Ok(1));
    assert_eq!(bench.due(0.0), JWKS_AGE);
    // A key that is not there any more does not count any more.
    assert_eq!(bench.fetch(300.0, Ok(fetched("b", None))), Ok(1));
    assert_eq!(bench.kids(300.0), ["b"]);
}

#[test]
fn how_long_they_are_fresh_is_said_by_whoever_publishes_them_within_bounds() {
    for (says, secs) in
        [(0, 60), (59, 60), (61, 61), (3_599, 3_599), (3_601, 3_600), (u64::MAX, 3_600)]
    {
        let mut bench = Bench::new();
        bench.fetch(0.0, Ok(fetched("a", Some(Duration::from_secs(says))))).unwrap();
        assert_eq!(bench.due(1.0), Duration::from_secs(secs), "{says}");
    }
}

#[test]
fn an_attempt_that_fails_changes_nothing_and_is_made_again_later_and_later() {
    let mut bench = Bench::new();
    bench.fetch(0.0, Ok(fetched("a", None))).unwrap();
    let mut now = 300.0;
    for wait in [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0] {
        let bad = [
            away(),
            Err(Unfetched::Status(500)),
            Ok(Fetched { document: b"{\"keys\":[]}".to_vec(), fresh_for: Some(JWKS_AGE_MAX) }),
        ];
        let bad = bad.into_iter().nth(wait as usize % 3).unwrap();
        assert!(bench.fetch(now, bad).is_err());
        assert_eq!(bench.kids(now), ["a"]);
        assert_eq!(bench.due(now), secs(now + wait));
        now += wait;
    }
    bench.fetch(now, Ok(fetched("b", None))).unwrap();
    assert_eq!(bench.kids(now), ["b"]);
    assert!(bench.fetch(now + 300.0, away()).is_err());
    assert_eq!(bench.due(now + 300.0), secs(now + 301.0), "it begins anew");
}

#[test]
fn waits_are_drawn_so_that_not_everybody_comes_at_once() {
    let mut bench = Bench::new();
    let start = bench.start;
    assert_eq!(bench.refresh.next(start), Next::Fetch);
    bench.refresh.fetched(away(), start, 0.0).unwrap_err();
    assert_eq!(bench.due(0.0), secs(0.5));
}

#[test]
fn one_attempt_is_made_at_a_time() {
    let mut bench = Bench::new();
    let start = bench.start;
    assert_eq!(bench.refresh.next(start), Next::Fetch);
    assert!(matches!(bench.refresh.next(start), Next::Wait(_)));
    assert!(matches!(bench.missed(0.0), Miss::Wait(_)));
    assert!(matches!(bench.refresh.next(start), Next::Wait(_)));
}

#[test]
fn keys_that_cannot_be_fetched_anew_count_for_so_long() {
    let mut bench = Bench::new();
    bench.fetch(0.0, Ok(fetched("a", None))).unwrap();
    let end = JWKS_KEPT_MAX.as_secs_f64();
    assert!(bench.fetch(end - 10.0, away()).is_err());
    assert_eq!(bench.kids(end - 0.001), ["a"]);
    assert!(bench.kids(end).is_empty());
    assert!(matches!(bench.missed(end), Miss::Wait(_)), "nobody can say that it is forged");
}

#[test]
fn unknown_keys_are_looked_for_once_in_an_interval() {
    // Tokens with made-up key names are free to make.
    let mut bench = Bench::new();
    bench.fetch(0.0, Ok(fetched("a", None))).unwrap();
    for secs in [0.0, 5.0, 9.999] {
        assert_eq!(bench.missed(secs), Miss::Forged, "{secs}");
    }
    let Miss::Fetch(wait) = bench.missed(10.0) else { panic!("it may be new") };
    assert!(wait <= Duration::from_secs(1));
    assert_eq!(bench.fetch(10.0, Ok(fetched("a", None))), Ok(1));
    // However many there are.
    let mut fetches = 0;
    for tenths in 100..1_100 {
        let secs = f64::from(tenths) / 10.0;
        let miss = bench.missed(secs);
        if matches!(miss, Miss::Fetch(_)) {
            bench.fetch(secs, Ok(fetched("a", None))).unwrap();
            fetches += 1;
        } else {
            assert_eq!(miss, Miss::Forged, "{secs}");
        }
    }
    assert_eq!(fetches, 9);
}

#[test]
fn an_unknown_key_hurries_nobody_who_is_away() {
    let mut bench = Bench::new();
    assert!(bench.fetch(0.0, away()).is_err());
    assert_eq!(bench.missed(0.25), Miss::Wait(Duration::from_millis(1_750)));
    assert_eq!(bench.due(0.25), secs(1.0));
    // The same when there were keys once: it may be one that was published since.
    bench.fetch(1.0, Ok(fetched("a", None))).unwrap();
    assert!(bench.fetch(301.0, away()).is_err());
    assert_eq!(bench.missed(301.5), Miss::Wait(Duration::from_millis(1_500)));
    assert_eq!(bench.due(301.5), secs(302.0));
}

#[test]
fn an_answer_says_how_long_it_stays_as_it_is() {
    let headers = |pairs: &[(&'static str, &'static str)]| {
        let pairs = pairs.iter();
        pairs
            .map(|&(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
            .collect::<HeaderMap>()
    };
    let secs = Duration::from_secs;
    for (said, expected) in [
        (&[("cache-control", "max-age=60")][..], Some(secs(60))),
        (&[("cache-control", "public, MAX-AGE=\"60\", s-maxage=9")], Some(secs(60))),
        (&[("cache-control", "public"), ("cache-control", "max-age=7")], Some(secs(7))),
        (&[("cache-control", "max-age=60"), ("age", "25")], Some(secs(35))),
        (&[("cache-control", "max-age=60"), ("age", "99")], Some(secs(0))),
        (&[("cache-control", "max-age=60, no-cache")], Some(secs(0))),
        (&[("cache-control", "no-store")], Some(secs(0))),
        (&[("cache-control", "max-age=99999999999999999999")], Some(secs(u64::MAX))),
        (&[("cache-control", "max-age=-1")], None),
        (&[("cache-control", "max-age=")], None),
        (&[("age", "5")], None),
        (&[], None),
    ] {
        assert_eq!(fresh_for(&headers(said)), expected, "{said:?}");
    }
}

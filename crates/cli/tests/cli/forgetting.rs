//! What is not kept, and what is forgotten when somebody asks for it.

use crate::support::{Server, run, text};

#[test]
fn a_live_only_message_is_for_whoever_is_connected_now() {
    let server = Server::start();
    let live = |json| server.publish_with("ada", json, &["--live"]);
    live(r#"{"n":1}"#);
    let tail = server.tail("ada", &[]);
    assert_eq!(tail.until_caught_up(), [0_u64; 0]);
    let published = live(r#"{"n":2}"#);
    assert_eq!(published.as_object().unwrap().len(), 1, "{published}");
    let frame = tail.frame();
    assert_eq!((&frame["n"], &frame["id"]), (&2.into(), &published["id"]));
    assert_eq!(frame.get("seq"), None);
    let keyed = server.try_publish("ada", "{}", &["--live", "--idempotency-key", "k"]);
    assert!(!keyed.status.success());
}

#[test]
fn no_more_than_the_newest_messages_are_kept() {
    let server = Server::start_with(&["--retention-messages", "3", "--retention-days", "off"]);
    for n in 1..=5 {
        server.publish("ada", &format!(r#"{{"n":{n}}}"#));
    }
    // They go in the background: each look starts a process, and far fewer looks will do.
    let mut looks = (0..500).map(|_| server.tail("ada", &["--no-ack"]).until_caught_up());
    assert!(looks.any(|left| left == [3, 4, 5]));
}

#[test]
fn a_user_is_erased_by_whoever_means_it() {
    let server = Server::start();
    server.publish("ada", r#"{"n":1}"#);
    let unsure = server.erase("ada", &[]);
    assert!(!unsure.status.success());
    assert!(String::from_utf8_lossy(&unsure.stderr).contains("--yes"), "{unsure:?}");
    assert_eq!(server.tail("ada", &["--no-ack"]).until_caught_up(), [1]);

    let tail = server.tail("ada", &["--no-ack"]);
    assert_eq!(tail.until_caught_up(), [1]);
    for _ in 0..2 {
        let sure = server.erase("ada", &["--yes"]);
        assert!(sure.status.success(), "{sure:?}");
    }
    assert_eq!(server.publish("ada", r#"{"n":2}"#)["seq"], 2, "positions go on");
    assert_eq!(tail.note(), 2);
    assert_eq!(server.tail("ada", &["--device", "new"]).until_caught_up(), [2]);
}

#[tokio::test]
async fn a_user_is_signed_out_of_one_session_or_of_all() {
    let server = Server::start();
    let key = server.file("api.key");
    let sign_out = |more: &[&str]| {
        let line =
            ["sign-out", "--url", &server.url, "--api-key-file", text(&key), "--user", "ada"];
        run(&[&line, more].concat())
    };
    let token = |session: &str| {
        let secret = server.file("jwt.secret");
        let line =
            ["token", "--jwt-secret-file", text(&secret), "--user", "ada", "--session", session];
        String::from_utf8(run(&line).stdout).unwrap().trim().to_owned()
    };
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let opens = async |token: &str| {
        let request = http.get(format!("{}/ws/user/ada", server.url)).bearer_auth(token);
        request.send().await.unwrap().status().as_u16() == 426
    };
    let (first, second) = (token("a/b"), token("s2"));
    let signed_out = sign_out(&["--session", "a/b"]);
    assert!(signed_out.status.success(), "{signed_out:?}");
    assert_eq!((opens(&first).await, opens(&second).await), (false, true));
    for wrong in ["..", ""] {
        let refused = sign_out(&["--session", wrong]);
        assert!(!refused.status.success(), "{refused:?}");
    }
    assert!(opens(&second).await);
    let signed_out = sign_out(&[]);
    assert!(signed_out.status.success(), "{signed_out:?}");
    assert!(String::from_utf8_lossy(&signed_out.stderr).contains("everywhere"), "{signed_out:?}");
    assert!(!opens(&second).await);
    assert!(opens(&token("s2")).await, "a new one");
}

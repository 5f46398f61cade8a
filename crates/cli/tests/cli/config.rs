//! What a server is told by a file, the environment and the command line.

use std::{fs, path::PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Process, run, tetherline, text};

fn settings(text: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tetherline.toml");
    fs::write(&path, text).unwrap();
    (folder, path)
}

/// What `tetherline config` says of these settings.
fn held(variables: &[(&str, &str)], arguments: &[&str]) -> Value {
    let mut command = tetherline(&[&["config", "--json"], arguments].concat());
    let output = command.envs(variables.iter().copied()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn refused(task: &str, file: &str) -> String {
    let (_folder, path) = settings(file);
    let output = run(&[task, "--config", text(&path)]);
    assert!(!output.status.success(), "{file} is taken");
    String::from_utf8(output.stderr).unwrap().replace(text(&path), "FILE")
}

#[test]
fn the_command_line_goes_before_the_environment_and_that_before_the_file() {
    let (_folder, path) = settings(
        "data = \"./data\"\nretention-days = 1\nretention-messages = 2\ndrain-window = 3\n\
         allow-origin = [\"https://a.example\", \"https://b.example\"]\nallow-query-token = true\n",
    );
    let variables = [("TETHERLINE_RETENTION_DAYS", "10"), ("TETHERLINE_RETENTION_MESSAGES", "20")];
    let file = text(&path);
    let held = held(&variables, &["--config", file, "--retention-messages", "200"]);
    let is = |name: &str, value: Value, source: String| {
        assert_eq!(
            (&held[name]["value"], held[name]["source"].as_str().unwrap()),
            (&value, &*source),
            "{name}"
        );
    };
    is("retention-messages", "200".into(), "--retention-messages".to_owned());
    is("retention-days", "10".into(), "TETHERLINE_RETENTION_DAYS".to_owned());
    is("drain-window", "3".into(), format!("{file}:4"));
    is("allow-query-token", "true".into(), format!("{file}:6"));
    is("jwt-leeway", "10".into(), "default".to_owned());
    let origins = serde_json::json!(["https://a.example", "https://b.example"]);
    is("allow-origin", origins, format!("{file}:5"));
}

#[test]
fn a_server_does_as_the_file_says() {
    let (folder, path) = settings("listen = \"127.0.0.1:0\"\nallow-query-token = true\n");
    let data = folder.path().join("data");
    let mut command = tetherline(&["serve", "--data", text(&data)]);
    command.env("TETHERLINE_CONFIG", &path);
    let server = Process::spawn(command);
    assert!(server.line().starts_with("listening on http://127.0.0.1:"));
    assert!(server.terminate());
    assert!(data.join("mailbox.db").exists());
}

#[test]
fn what_is_no_setting_is_refused_with_the_nearest_that_is_one() {
    for (wrong, right) in [
        ("send-per-connection = 3", "sends-per-connection"),
        ("retention_days = 3", "retention-days"),
        ("listn = 3", "listen"),
    ] {
        let said = refused("serve", wrong);
        assert!(
            said.contains("FILE, line 1") && said.contains(&format!("is it `{right}`?")),
            "{said}"
        );
    }
    let said = refused("serve", "zzzzzzzzzzzzzzzzzzzzzzzzzzz = 1");
    assert!(said.contains("`tetherline config` shows all"), "{said}");
    for file in ["new-epoch = true", "config = \"another\""] {
        let said = refused("serve", file);
        assert!(said.contains("for the command line alone"), "{said}");
    }
}

#[test]
fn a_value_that_is_none_is_refused_with_its_line() {
    for (file, line, why) in [
        ("data = \"d\"\nretention-days = \"soon\"", 2, "neither a whole number"),
        ("data = \"d\"\n\ndrain-window = 3601", 3, "3601"),
    ] {
        let said = refused("serve", file);
        assert!(said.contains(&format!("FILE:{line}")) && said.contains(why), "{said}");
    }
    for (file, why) in [
        ("allow-query-token = \"yes\"", "FILE, line 1: `allow-query-token` is `true` or `false`"),
        ("data = true", "FILE, line 1: `data` is neither `true` nor `false`"),
        ("data = [\"a\", \"b\"]", "FILE, line 1: `data` is one value, and not a list"),
        ("data = \"a", "FILE, line 1: is not TOML"),
        ("[rates]\nsends = 1", "FILE, line 1: `rates` is a table"),
    ] {
        let said = refused("serve", file);
        assert!(said.contains(why), "{said}");
    }
}

#[test]
fn settings_that_need_others_or_contradict_them_are_refused_wherever_they_come_from() {
    let said = refused("serve", "data = \"d\"\nwebhook-proxy = \"http://127.0.0.1:1\"");
    assert!(said.contains("--webhook-url"), "{said}");
    let said = refused("config", "data = \"d\"\noutcomes-per-user-max = 3");
    assert!(said.contains("the limits contradict each other"), "{said}");
}

#[test]
fn a_file_that_is_not_there_or_no_text_stops_a_start() {
    let output = run(&["serve", "--config", "/nowhere/tetherline.toml", "--data", "d"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("/nowhere/tetherline.toml: cannot be read"), "{said}");
    let (_folder, path) = settings("");
    fs::write(&path, [0xff, 0xfe]).unwrap();
    let output = run(&["serve", "--config", text(&path), "--data", "d"]);
    assert!(String::from_utf8(output.stderr).unwrap().contains("is not text"));
    fs::write(&path, vec![b'#'; 256 * 1024 + 1]).unwrap();
    let output = run(&["serve", "--config", text(&path), "--data", "d"]);
    assert!(String::from_utf8(output.stderr).unwrap().contains("longer than 256 KiB"));
    fs::write(&path, vec![b'#'; 256 * 1024]).unwrap();
    held(&[], &["--config", text(&path), "--data", "d"]);
}

#[test]
fn nobody_reads_a_password_in_what_holds() {
    let output =
        run(&["config", "--data", "d", "--webhook-url", "https://me:hush@app.example/hook?a=b"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("https://***@app.example/hook?a=b") && !said.contains("hush"), "{said}");
}

#[test]
fn the_file_to_begin_with_is_taken() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/tetherline.toml");
    let held = held(&[], &["--config", file]);
    assert_eq!(held["data"]["value"], "/var/lib/tetherline");
}

use super::*;
use crate::settings::file::{Setting, Value, parse};

#[test]
fn a_setting_is_a_text_a_number_a_switch_or_a_list() {
    let settings = parse(
        "listen = \"[::1]:80\"\n\n# years\nretention-days = 3_650\nallow-query-token = true\n\
                          jwt-audience = [\"a\", \"b\"]\n",
    );
    let setting = |key: &str, line, value| Setting { key: key.to_owned(), line, value };
    assert_eq!(
        settings.unwrap(),
        [
            setting("listen", 1, Value::One("[::1]:80".to_owned())),
            setting("retention-days", 4, Value::One("3650".to_owned())),
            setting("allow-query-token", 5, Value::Switch(true)),
            setting("jwt-audience", 6, Value::Many(vec!["a".to_owned(), "b".to_owned()])),
        ]
    );
}

#[test]
fn what_is_no_setting_is_named_with_its_line() {
    let why = |text: &str| parse(text).unwrap_err();
    assert_eq!(why("a = 1\n[rates]\nb = 2").0, Some(2));
    assert!(why("a = 1\n[rates]\nb = 2").1.contains("`rates` is a table"));
    assert_eq!(why("a = 1\nb = ").0, Some(2));
    assert_eq!(why("a = 1\na = 2").0, Some(2));
    assert!(why("a = [[1]]").1.contains("`a` is a text"));
    assert!(why("a = 2026-11-30").1.contains("`a` is a text"));
}

#[test]
fn every_option_of_a_server_can_be_a_setting() {
    let command = <crate::Arguments as clap::CommandFactory>::command();
    let task = command.find_subcommand("serve").unwrap();
    let all = task.get_arguments().filter_map(clap::Arg::get_long);
    let missing: Vec<_> =
        all.filter(|name| !options(task).any(|option| option.get_long() == Some(name))).collect();
    assert_eq!(missing, ["config", "new-epoch"]);
}

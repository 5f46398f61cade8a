//! docs/configuration.md, written from the options of `tetherline serve` by the test that holds it to them.

use std::{env, fmt::Write as _, fs, path::Path};

use clap::{Arg, ArgAction, Command, CommandFactory as _};

use super::options;
use crate::{Arguments, serve::counts_at_once};

#[test]
fn what_is_written_of_settings_is_what_there_is() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let page = reference(&Arguments::command());
    // `cargo xtask codegen` runs this test so.
    if env::var_os("TETHERLINE_CODEGEN").is_some() {
        return fs::write(path, page).unwrap();
    }
    let written = fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == page,
        "docs/configuration.md is not what the options say: `cargo xtask codegen`"
    );
}

fn reference(command: &Command) -> String {
    let task = command.find_subcommand("serve").unwrap();
    let mut page = String::from(HEAD);
    let mut heading = None;
    for option in options(task) {
        if heading != Some(option.get_help_heading()) {
            heading = Some(option.get_help_heading());
            let heading = option.get_help_heading().unwrap_or("What every server needs");
            write!(page, "\n## {heading}\n\n| setting | value | default | SIGHUP | |\n|---|---|---|---|---|\n")
                .unwrap();
        }
        writeln!(page, "{}", row(option)).unwrap();
    }
    page
}

fn row(option: &Arg) -> String {
    let name = option.get_long().unwrap_or_default();
    let values = option.get_value_names().unwrap_or_default();
    let value = if option.get_action().takes_values() {
        values.join(" ")
    } else {
        "true, false".to_owned()
    };
    let value = if matches!(option.get_action(), ArgAction::Append) {
        format!("list of {value}")
    } else {
        value
    };
    let defaults: Vec<_> =
        option.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    let default = if defaults.is_empty() || !option.get_action().takes_values() {
        String::new()
    } else {
        format!("`{}`", defaults.join(","))
    };
    let needed = if option.is_required_set() { "**Needed.** " } else { "" };
    let help = option.get_long_help().or(option.get_help()).map(ToString::to_string);
    let help = help.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
    let reloaded = if counts_at_once(name) { "yes" } else { "restart" };
    format!("| `{name}` | {value} | {default} | {reloaded} | {needed}{} |", escaped(&help))
}

/// Markdown takes a word in angle brackets for an element, and a bar for the end of a cell.
fn escaped(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "\\<")
}

const HEAD: &str = "# Configuration

<!-- Written by `cargo xtask codegen` from the options of `tetherline serve`. Do not edit: change it there. -->

Each setting of `tetherline serve` can be said in three places, of which the later wins:

1. in a file in TOML that `--config` or `TETHERLINE_CONFIG` names, under its name: `retention-days = 90`;
2. in the environment, in capitals, with `_` for `-` and `TETHERLINE_` before it: `TETHERLINE_RETENTION_DAYS=90`;
3. on the command line, with `--` before it: `--retention-days 90`.

A list is `[\"a\", \"b\"]` in the file, is separated by commas in the environment (`jwt-secret-file` alone is one there), and is an option said several times on the
command line. Switches are `true` or `false` in the file and in the environment, and are said or not on the command line.
Paths are relative to where the server is started. A variable that is empty counts as not set. A rate is so many in a second,
minute or hour, and so many at once: `50/s:2000`, `20/min`, or `off`.

[`deploy/tetherline.toml`](../deploy/tetherline.toml) is a file to begin with. `tetherline config` takes the same options and
prints every setting, what it is and where that comes from, and ends with 0 if a server would take it:

```sh run
printf 'data = \"./data\"\nretention-days = 90\n' > tetherline.toml
TETHERLINE_RETENTION_MESSAGES=off tetherline config --config tetherline.toml --listen 127.0.0.1:0 | grep -v default
```

```text output
data …                    ./data …       tetherline.toml:1
listen …                  127.0.0.1:0 …  --listen
retention-days …          90 …           tetherline.toml:2
retention-messages …      off …          TETHERLINE_RETENTION_MESSAGES
```

A name that is no setting is refused with the nearest that is one, a value that is none with its line, and limits that contradict
each other with what would come of it. Under SIGHUP it is said of each setting whether a server that
[reads its settings anew](operations.md#reloading) goes by it at once, or after a restart. No setting is a secret in itself: secrets are in files that settings name. A password
in a URL is shown as `***`.

`--config` itself and `--new-epoch`, which is said for one start, are for the command line alone.
";

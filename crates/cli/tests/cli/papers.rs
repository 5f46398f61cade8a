//! Completions and manual pages, as shells and readers take them.

use std::{fs, process::Command};

use crate::support::{run, text};

#[test]
fn bash_completes_commands_and_options() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("tetherline.bash");
    fs::write(&script, run(&["completions", "bash"]).stdout).unwrap();
    let completed = |words: &str| {
        let ask = format!(
            "source {}; COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             _tetherline tetherline \"${{COMP_WORDS[COMP_CWORD]}}\" x; echo \"${{COMPREPLY[@]}}\"",
            text(&script)
        );
        let output = Command::new("bash").args(["--norc", "-c", &ask]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(completed("tetherline sign"), "sign-out");
    assert_eq!(completed("tetherline serve --retention-d"), "--retention-days");
    assert_eq!(completed("tetherline settings"), "");
}

#[test]
fn there_is_a_script_for_each_shell() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = run(&["completions", shell]);
        assert!(output.status.success() && output.stdout.len() > 1_000, "{shell}");
    }
}

#[test]
fn each_command_has_a_page_that_can_be_set() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man");
    assert!(run(&["man", "--out", text(&pages)]).status.success());
    let all: Vec<_> = fs::read_dir(&pages).unwrap().map(|page| page.unwrap()).collect();
    let names: Vec<_> = all.iter().map(|page| page.file_name().into_string().unwrap()).collect();
    assert!(names.iter().all(|name| name.starts_with("tetherline")), "{names:?}");
    assert!(
        !names.iter().any(|name| name.contains("reference") || name.contains("help")),
        "{names:?}"
    );
    for needed in ["tetherline.1", "tetherline-serve.1", "tetherline-keys-add.1"] {
        assert!(names.iter().any(|name| name == needed), "{needed} is missing in {names:?}");
    }
    let serve = fs::read_to_string(pages.join("tetherline-serve.1")).unwrap();
    assert!(serve.contains("retention"), "{serve}");
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("man");
    fs::write(&file, "in the way").unwrap();
    let output = run(&["man", "--out", text(&file)]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("cannot write manual pages") && said.contains(text(&file)), "{said}");
}

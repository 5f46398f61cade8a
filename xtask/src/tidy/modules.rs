use super::Source;
use crate::workspace::is_a;

/// Written apart, so that this file keeps its rule.
const PAST_THE_PARENT: &str = concat!("pub(in su", "per");

/// How Rust code is divided into rooms.
pub(super) fn problems(sources: &[Source]) -> Vec<String> {
    sources
        .iter()
        .filter(|source| is_a(&source.path, &["rs"]))
        .flat_map(|source| named_twice(source).into_iter().chain(seen_too_far(source)))
        .collect()
}

/// One style for the workspace: a room and what is in it are `room.rs` and `room/`. Only what the tests of
/// a crate share is called `mod.rs`: Cargo would take `tests/support.rs` for a test of its own.
fn named_twice(Source { path, .. }: &Source) -> Option<String> {
    let folder = path.strip_suffix("/mod.rs")?;
    let is_shared_by_tests =
        folder.rsplit('/').nth(1) == Some("tests") && !folder.contains("/src/");
    (!is_shared_by_tests).then(|| format!("{path}: call it {folder}.rs, as the other rooms are"))
}

fn seen_too_far(Source { path, text }: &Source) -> Vec<String> {
    let lines = (1..).zip(text.lines()).filter(|(_, line)| line.contains(PAST_THE_PARENT));
    lines
        .map(|(number, _)| {
            format!(
                "{path}:{number}: `{PAST_THE_PARENT}…`: put it where its readers are, beside them or \
                 in their parent"
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems_of(path: &str, text: &str) -> usize {
        problems(&[Source { path: path.to_owned(), text: text.to_owned() }]).len()
    }

    #[test]
    fn a_room_is_called_by_its_name_and_only_what_tests_share_is_not() {
        assert_eq!(problems_of("crates/server/src/store/mod.rs", ""), 1);
        assert_eq!(problems_of("crates/server/src/store/tests/mod.rs", ""), 1);
        assert_eq!(problems_of("crates/server/src/store/tests/keys/mod.rs", ""), 1);
        assert_eq!(problems_of("crates/cli/tests/cli/streaming/mod.rs", ""), 1);
        assert_eq!(problems_of("crates/server/src/store.rs", ""), 0);
        assert_eq!(problems_of("crates/server/tests/support/mod.rs", ""), 0);
        assert_eq!(problems_of("docs/mod.rs.md", ""), 0);
    }

    #[test]
    fn nothing_is_visible_past_its_parent_by_name() {
        let item = format!("{PAST_THE_PARENT}::super) fn far() {{}}\npub(super) fn near() {{}}\n");
        assert_eq!(problems_of("crates/server/src/store.rs", &item), 1);
        assert_eq!(problems_of("STYLE.md", &item), 0);
    }
}

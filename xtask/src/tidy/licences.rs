use std::{fs, path::Path};

use anyhow::{Context as _, Result};
use serde_json::Value;
use spdx::{Expression, ParseMode};

/// What may be part of the pages that we ship: nothing here asks more than to be named. The crates' list is in
/// `deny.toml`.
const SHIPPED: [&str; 13] = [
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BlueOak-1.0.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];
/// What may come with the chat's page beyond that: a face that is given on as it is, under its name.
const FACES: [&str; 1] = ["OFL-1.1"];
/// What tools may have beyond that: they build and check, and are not shipped.
const TOOLS: [&str; 3] = ["CC-BY-4.0", "MPL-2.0", "Python-2.0"];

/// Every npm package that we use has a licence that we can live with.
pub(super) fn problems(root: &Path) -> Result<Vec<String>> {
    let lock = fs::read_to_string(root.join("package-lock.json"))?;
    let lock: Value = serde_json::from_str(&lock).context("package-lock.json is no JSON")?;
    Ok(npm_packages(&lock).collect())
}

fn npm_packages(lock: &Value) -> impl Iterator<Item = String> {
    let packages = lock["packages"].as_object().into_iter().flatten();
    packages.filter_map(|(path, package)| {
        // Links lead to our own packages, and those have no folder in `node_modules` of their own.
        let name = path.rsplit_once("node_modules/").map(|(_, name)| name)?;
        if package["link"] == true {
            return None;
        }
        let mut allowed = SHIPPED.to_vec();
        if package["dev"] == true {
            allowed.extend(TOOLS);
        }
        if name.starts_with("@fontsource/") {
            allowed.extend(FACES);
        }
        problem(name, package["license"].as_str(), &allowed)
    })
}

fn problem(name: &str, licence: Option<&str>, allowed: &[&str]) -> Option<String> {
    let Some(text) = licence else {
        return Some(format!("{name} names no licence: use something else in its place"));
    };
    let is_fine = Expression::parse_mode(text, ParseMode::LAX).is_ok_and(|expression| {
        expression.evaluate(|term| term.license.id().is_some_and(|id| allowed.contains(&id.name)))
    });
    (!is_fine).then(|| {
        format!(
            "{name} is licensed as {text}, which xtask/src/tidy/licences.rs does not list: use \
             something else, or add the licence there and say why it is no burden"
        )
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_choice_is_enough_and_a_demand_is_too_much() {
        let verdict = |licence| problem("it", Some(licence), &SHIPPED);
        assert_eq!(verdict("MIT OR GPL-3.0-only"), None);
        assert_eq!(verdict("MIT/Apache-2.0"), None);
        assert!(verdict("MIT AND GPL-3.0-only").is_some());
        assert!(verdict("Apache-2.0 WITH LLVM-exception").is_none());
        assert!(verdict("whatever").is_some());
        assert!(problem("it", None, &SHIPPED).is_some());
    }

    #[test]
    fn crates_and_packages_are_held_to_the_same_licences() {
        let deny = include_str!("../../../deny.toml");
        let (_, allowed) = deny.split_once("\nallow = [").unwrap();
        let (allowed, _) = allowed.split_once(']').unwrap();
        let names: Vec<_> = allowed.split('"').skip(1).step_by(2).collect();
        assert_eq!(names, SHIPPED);
    }

    #[test]
    fn a_face_has_a_licence_that_is_only_for_faces() {
        let lock = |name: &str| json!({"packages": {name: {"license": "OFL-1.1"}}});
        assert_eq!(npm_packages(&lock("node_modules/@fontsource/x")).count(), 0);
        assert_eq!(npm_packages(&lock("node_modules/x")).count(), 1);
    }

    #[test]
    fn tools_may_have_more_than_what_is_shipped() {
        let lock =
            |dev| json!({"packages": {"node_modules/x": {"license": "MPL-2.0", "dev": dev}}});
        assert_eq!(npm_packages(&lock(true)).count(), 0);
        assert_eq!(npm_packages(&lock(false)).count(), 1);
    }
}

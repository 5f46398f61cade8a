//! `cargo xtask sim`: the simulator, optimised.

use std::path::Path;

use anyhow::{Result, bail};

use crate::workspace::{build, run, target};

const USAGE: &str = "cargo xtask sim --seeds N [--from SEED]";

/// Builds the simulator and runs that many seeds.
pub(crate) fn run_seeds(root: &Path, arguments: &[String]) -> Result<()> {
    check(arguments)?;
    build(root, "cargo", &["build", "--profile", "sim", "-p", "tetherline-sim"])?;
    let binary =
        target(root).join("sim").join(format!("tetherline-sim{}", std::env::consts::EXE_SUFFIX));
    run(root, &binary.to_string_lossy(), arguments)
}

/// The simulator reads its arguments itself; what it would refuse need not be built first.
fn check(arguments: &[String]) -> Result<()> {
    let mut names = Vec::new();
    for pair in arguments.chunks(2) {
        match pair {
            [name, value]
                if ["--seeds", "--from"].contains(&name.as_str())
                    && value.parse::<u64>().is_ok() =>
            {
                names.push(name.as_str());
            }
            _ => bail!("`{}` is not understood. Use {USAGE}.", pair.join(" ")),
        }
    }
    if !names.contains(&"--seeds") {
        bail!("say how many seeds: {USAGE}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_numbers_and_have_to_be_counted() {
        let verdict = |text: &str| {
            let arguments: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
            check(&arguments)
        };
        assert!(verdict("--seeds 10").is_ok());
        assert!(verdict("--from 7 --seeds 10").is_ok());
        assert!(verdict("--from 7").is_err());
        assert!(verdict("--seeds many").is_err());
        assert!(verdict("--seeds").is_err());
    }
}

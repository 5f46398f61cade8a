//! What waits for nothing of each other is done at the same time, as many things as there are cores.

use std::{
    process::{Command, Stdio},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use anyhow::{Context as _, Result, bail};
use tetherline_process::{note, say};

/// Does the work for each item, begins in their order, and answers in it.
pub(crate) fn side_by_side<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let workers = thread::available_parallelism().map_or(1, usize::from).min(items.len());
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(index) else { return };
                    let result = work(item);
                    results.lock().unwrap_or_else(PoisonError::into_inner).push((index, result));
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

/// A program with a name for people, which looks at something and changes nothing.
pub(crate) type Look = (&'static str, Command);

/// Runs them all to their ends; what each has said is printed in one piece.
pub(crate) fn all_pass(looks: Vec<Look>) -> Result<()> {
    let looks: Vec<_> =
        looks.into_iter().map(|(name, command)| (name, Mutex::new(command))).collect();
    let passed = side_by_side(&looks, |(name, command)| {
        let mut command = command.lock().unwrap_or_else(PoisonError::into_inner);
        let done = command.stdin(Stdio::null()).output();
        let done = done.with_context(|| format!("cannot start {name}"))?;
        let (out, errors) =
            (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        if done.status.success() {
            say!("✓ {name}");
            return Ok(true);
        }
        note!("✗ {name} ({})\n{}{}", done.status, out, errors);
        anyhow::Ok(false)
    });
    let passed: Vec<bool> = passed.into_iter().collect::<Result<_>>()?;
    let failed: Vec<&str> = looks
        .iter()
        .zip(passed)
        .filter_map(|((name, _), passed)| (!passed).then_some(*name))
        .collect();
    if failed.is_empty() {
        return Ok(());
    }
    bail!("{} failed; their own words are above", failed.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_done_once_and_answered_in_order() {
        let numbers: Vec<u64> = (0..100).collect();
        let doubled = side_by_side(&numbers, |number| number * 2);
        assert_eq!(doubled, numbers.iter().map(|number| number * 2).collect::<Vec<_>>());
        assert_eq!(side_by_side(&[], |number: &u64| *number), [0_u64; 0]);
    }

    #[test]
    fn whatever_fails_is_named_and_the_rest_runs_all_the_same() {
        let looks = || vec![("one", Command::new("false")), ("two", Command::new("true"))];
        let failed = all_pass(looks()).unwrap_err().to_string();
        assert!(failed.starts_with("one failed"), "{failed}");
        assert!(all_pass(looks().split_off(1)).is_ok());
    }
}

//! Which of many backups are kept.

use std::{
    fs, io,
    num::NonZero,
    path::{Path, PathBuf},
};

use super::file::{BackupError, stamp, sync_folder_of};

/// Deletes the oldest backups beside one that was just made, so that so many are left, and answers which. Only files are
/// deleted that have a name which a backup gets in a folder by itself, `mailbox-20261130T021500.123Z.db`, and never `made`.
/// Those that are dated later than now, by a clock that was wrong, count as the oldest.
pub fn keep_newest(made: &Path, count: NonZero<usize>) -> Result<Vec<PathBuf>, BackupError> {
    let folder = made.parent().unwrap_or(Path::new("."));
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| BackupError::File { path, source }
    };
    let now = stamp();
    let entries: io::Result<Vec<_>> = fs::read_dir(folder).map_err(failed(folder))?.collect();
    let mut others: Vec<(bool, String)> = Vec::new();
    for entry in entries.map_err(failed(folder))? {
        let Ok(name) = entry.file_name().into_string() else { continue };
        let is_file = entry.file_type().map_err(failed(folder))?.is_file();
        if let Some(taken) = taken_at(&name)
            && is_file
            && made.file_name().is_none_or(|made| *made != *name)
        {
            others.push((taken <= &*now, name));
        }
    }
    others.sort_unstable();
    let kept = count.get() - 1;
    let gone = others.len().saturating_sub(kept);
    let gone: Vec<_> = others.into_iter().take(gone).map(|(_, name)| folder.join(name)).collect();
    for path in &gone {
        fs::remove_file(path).map_err(failed(path))?;
    }
    sync_folder_of(made).map_err(failed(folder))?;
    Ok(gone)
}

/// The time in a name that a backup gave itself.
fn taken_at(name: &str) -> Option<&str> {
    let time = name.strip_prefix("mailbox-")?.strip_suffix(".db")?;
    let form = "00000000T000000.000Z";
    let fits = |(is, form): (u8, u8)| if form == b'0' { is.is_ascii_digit() } else { is == form };
    (time.len() == form.len() && time.bytes().zip(form.bytes()).all(fits)).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 4] = [
        "mailbox-20200101T000000.000Z.db",
        "mailbox-20210101T000000.000Z.db",
        "mailbox-20220101T000000.000Z.db",
        "mailbox-29990101T000000.000Z.db",
    ];

    fn left_of(names: &[&str], made: &str, count: usize) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            fs::write(folder.path().join(name), "").unwrap();
        }
        keep_newest(&folder.path().join(made), NonZero::new(count).unwrap()).unwrap();
        let mut left: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort_unstable();
        left
    }

    #[test]
    fn the_newest_are_kept_and_one_from_the_future_is_no_reason_to_lose_todays() {
        assert_eq!(left_of(&NAMES, NAMES[2], 3), [NAMES[0], NAMES[1], NAMES[2]]);
        assert_eq!(left_of(&NAMES, NAMES[2], 2), [NAMES[1], NAMES[2]]);
        assert_eq!(left_of(&NAMES, NAMES[2], 1), [NAMES[2]]);
        // Also if the clock went back while they were made.
        assert_eq!(left_of(&NAMES, NAMES[0], 2), [NAMES[0], NAMES[2]]);
        assert_eq!(left_of(&NAMES, NAMES[2], 9).len(), 4);
    }

    #[test]
    fn nothing_is_deleted_that_has_another_name() {
        let others = [
            "mailbox-20200101T000000.000Z.db.partial",
            "mailbox-20200101T000000Z.db",
            "mailbox-before-the-upgrade.db",
            "mailbox.db",
            "mailbox.db.replaced-20200101T000000.000Z",
        ];
        let all = [&others[..], &NAMES[..3]].concat();
        let mut left = left_of(&all, NAMES[2], 1);
        left.retain(|name| name != NAMES[2]);
        assert_eq!(left, others);
    }
}

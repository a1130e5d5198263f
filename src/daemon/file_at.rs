//! Where zone files are, in little memory.
//!
//! A zone file stands nearly always under its zone's name in a directory with many others. Of such a
//! file only the directory is remembered, and that once for all of them.

use crate::name::Name;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::Arc;

/// The path of a zone's file.
#[derive(Debug)]
pub(super) enum FileAt {
    /// `APEX.zone` in this directory.
    Named(Arc<PathBuf>),
    /// Any other.
    Elsewhere(Box<PathBuf>),
}

/// The directories of all files that are [`FileAt::Named`].
#[derive(Debug, Default)]
pub(super) struct Directories(HashMap<PathBuf, Arc<PathBuf>>);

impl FileAt {
    /// The path of this file of the zone `apex`.
    pub(super) fn path(&self, apex: &Name) -> PathBuf {
        match self {
            Self::Named(directory) => directory.join(file_name(apex)),
            Self::Elsewhere(path) => path.to_path_buf(),
        }
    }
}

impl Directories {
    /// Takes note of a file of the zone `apex`.
    pub(super) fn enter(&mut self, path: PathBuf, apex: &Name) -> FileAt {
        let is_named = path.file_name() == Some(OsStr::new(&file_name(apex)));
        let Some(directory) = path.parent().filter(|_| is_named) else {
            return FileAt::Elsewhere(Box::new(path));
        };
        if let Some(known) = self.0.get(directory) {
            return FileAt::Named(Arc::clone(known));
        }
        let new = Arc::new(directory.to_path_buf());
        self.0.insert(directory.to_path_buf(), Arc::clone(&new));
        FileAt::Named(new)
    }

    /// A file is not that zone's any more; with the last one its directory is forgotten.
    pub(super) fn leave(&mut self, file: FileAt) {
        if let FileAt::Named(directory) = file
            && Arc::strong_count(&directory) <= 2
        {
            self.0.remove(&*directory);
        }
    }
}

/// The usual name: a name in text ends in a dot.
fn file_name(apex: &Name) -> String {
    format!("{apex}zone")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_comes_back_and_no_directory_stays_for_nothing() {
        let mut directories = Directories::default();
        let files: Vec<(FileAt, &str, &str)> = [
            ("example.org", "/zones/example.org.zone"),
            ("example.net", "/zones/example.net.zone"),
            ("example.org", "/zones/Example.Org.zone"),
            (".", "/zones/root.zone"),
            ("example.org", "example.org.zone"),
            ("a\\.b.example.org", "/zones/a\\.b.example.org.zone"),
        ]
        .map(|(apex, path)| {
            let name = Name::from_text(apex).unwrap();
            (directories.enter(path.into(), &name), apex, path)
        })
        .into();
        for (file, apex, path) in &files {
            assert_eq!(file.path(&Name::from_text(apex).unwrap()), PathBuf::from(path));
        }
        assert_eq!(directories.0.len(), 2);
        for (file, ..) in files {
            directories.leave(file);
        }
        assert!(directories.0.is_empty());
    }
}

//! Reading the logs of all processes of a run.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::event::Event;
use super::journal::Journal;
use super::line;

/// The logs of all processes of a run, as they stand in one directory.
#[derive(Debug, Default)]
pub struct Log {
    files: Vec<LogFile>,
    lines: Vec<Line>,
    torn: usize,
}

#[derive(Debug)]
struct LogFile {
    path: PathBuf,
    text: String,
}

/// A line of a log.
#[derive(Debug)]
struct Line {
    /// Which of the files it is in.
    file: usize,
    /// From 1.
    number: usize,
    /// Where it begins in its file.
    begin: usize,
    event: Event,
}

impl Log {
    /// Reads every file of the directory whose name ends with `.log`, and of none below it. An empty
    /// directory is an empty log.
    ///
    /// A last line without an end was torn when its process was killed: it is ignored and
    /// [counted](Log::torn).
    ///
    /// # Errors
    ///
    /// When a file cannot be read, a line is none of the [format](super::line), or two files are of
    /// one process.
    pub fn read(dir: impl AsRef<Path>) -> Result<Self, ReadError> {
        let dir = dir.as_ref();
        let in_dir = |source| ReadError::Io { path: dir.to_owned(), source };
        let mut paths = Vec::new();
        for entry in fs::read_dir(dir).map_err(in_dir)? {
            let path = entry.map_err(in_dir)?.path();
            if path.extension().is_some_and(|extension| extension == Journal::EXTENSION) {
                paths.push(path);
            }
        }
        paths.sort();
        let mut log = Self::default();
        let mut processes = HashMap::new();
        for path in paths {
            let text = fs::read_to_string(&path)
                .map_err(|source| ReadError::Io { path: path.clone(), source })?;
            log.take(path, text, &mut processes)?;
        }
        Ok(log)
    }

    /// How many lines there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// How many files end with a torn line.
    #[must_use]
    pub fn torn(&self) -> usize {
        self.torn
    }

    /// All events, file by file.
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.lines.iter().map(|line| &line.event)
    }

    /// The event with this number among all.
    pub(super) fn event(&self, event: usize) -> Option<&Event> {
        Some(&self.lines.get(event)?.event)
    }

    /// Where the event with this number among all [`events`](Log::events) stands, and what its line
    /// says; `None` when there are fewer.
    #[must_use]
    pub fn place(&self, event: usize) -> Option<Place> {
        let Line { file, number, begin, .. } = *self.lines.get(event)?;
        let LogFile { path, text } = &self.files[file];
        let text = text[begin..].lines().next().unwrap_or_default().to_owned();
        Some(Place { file: path.clone(), line: number, text })
    }

    /// What is wrong with a line that is well written.
    pub(super) fn problem(&self, event: usize, problem: String) -> ReadError {
        let Line { file, number, .. } = self.lines[event];
        ReadError::Line { path: self.files[file].path.clone(), line: number, problem }
    }

    fn take(
        &mut self,
        path: PathBuf,
        text: String,
        processes: &mut HashMap<Arc<str>, PathBuf>,
    ) -> Result<(), ReadError> {
        let (file, mut begin) = (self.files.len(), 0);
        let mut process: Option<Arc<str>> = None;
        for (index, whole) in text.split_inclusive('\n').enumerate() {
            let number = index + 1;
            let bad = |problem| ReadError::Line { path: path.clone(), line: number, problem };
            let Some(line) = whole.strip_suffix('\n') else {
                self.torn += 1;
                break;
            };
            let mut event = line::read(line).map_err(bad)?;
            match &process {
                // One copy for all lines.
                Some(process) if *process == event.by => event.by = process.clone(),
                Some(process) => {
                    return Err(bad(format!("a line of `{}` in the log of `{process}`", event.by)));
                }
                None => {
                    if let Some(other) = processes.insert(event.by.clone(), path.clone()) {
                        let other = other.display();
                        return Err(bad(format!("`{}` has another log, {other}", event.by)));
                    }
                    process = Some(event.by.clone());
                }
            }
            self.lines.push(Line { file, number, begin, event });
            begin += whole.len();
        }
        self.files.push(LogFile { path, text });
        Ok(())
    }
}

/// A line of a log, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// The number of the line, from 1.
    pub line: usize,
    /// What it says.
    pub text: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.text)
    }
}

/// Why logs cannot be read.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReadError {
    /// A file or the directory cannot be read.
    Io {
        /// Which one.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A line is not what a [`Journal`] writes.
    Line {
        /// The file.
        path: PathBuf,
        /// The number of the line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, source } => write!(f, "{}: {source}", path.display()),
            Self::Line { path, line, problem } => {
                write!(f, "{}:{line}: {problem}", path.display())
            }
        }
    }
}

impl std::error::Error for ReadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Line { .. } => None,
        }
    }
}

//! # The log, line by line
//!
//! One event is one line of ASCII: words `key=value`, one blank between two of them, in this order:
//!
//! ```text
//! at=NANOS by=PROCESS what=WORD …              a note
//! at=NANOS by=PROCESS attempt=N what=WORD …    a step of an attempt
//! ```
//!
//! | `what` | words after it |
//! |---|---|
//! | `asked` | `name` `mode` `patience` `ttl` `renewal` |
//! | `granted`, `renewed` | `token` `deadline` |
//! | `believes` | `deadline` |
//! | `lost` | `cause` |
//! | `wrote` | `place`, and `token` if there was one |
//! | `refused` | `token` `newest` |
//! | `released` | `token` |
//! | `renew-failed`, `release-failed`, `failed` | `kind` |
//! | `queued`, `doubts`, `releasing`, `busy`, `timed-out`, `dropped` | |
//! | note `queued` | `process` `of`; `of` is the attempt of that process |
//! | note `paused`, `resumed`, `killed` | `process` |
//! | note `fault-began` | `fault` `label` `expects` |
//! | note `fault-ended` | `fault` |
//! | note `removed` | `name` `expects` |
//! | note `healed` | |
//!
//! Instants (`at`, `deadline`) are nanoseconds of the boot-time clock, times (`ttl`) are
//! nanoseconds. `by`, `process`, `name` and `label` are escaped as `%XX` but for letters, digits and
//! `._/-`. `mode` is `x`, `s` or `p` and the count; `patience` is `forever`, `none` or nanoseconds;
//! `renewal` is `auto`, `never` or `until:` and nanoseconds; `cause` is the cause as metrics carry it;
//! `kind` is the name of the variant of `ErrorKind`; `expects` is `R1,R9` or `-`.

use std::fmt::Write as _;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use lockcore::record::{ModeWord, escape, unescape};
use lockcore::{BootInstant, ErrorKind, LockName, LossCause, Mode, Renewal, Rule, Ttl};

use super::event::{Ask, Event, Expects, Fact, Note, Patience, What};

/// Writes an event as a line, without its end.
#[must_use]
pub fn write(event: &Event) -> String {
    let mut line = Writer(format!("at={}", event.at.as_nanos()));
    line.text("by", &event.by);
    match &event.what {
        What::Fact { attempt, fact } => {
            line.word("attempt", attempt);
            line.fact(fact);
        }
        What::Note(note) => line.note(note),
    }
    line.0
}

/// Reads a line that [`write()`] wrote.
///
/// # Errors
///
/// What is wrong with any other.
pub fn read(line: &str) -> Result<Event, String> {
    let mut words = Reader { words: line.split(' '), key: "" };
    let at = words.instant("at")?;
    let by = words.text("by")?.into();
    let what = match words.next()? {
        ("attempt", number) => {
            let attempt = number.parse().map_err(|_| format!("attempt={number} is no number"))?;
            let word = words.value("what")?;
            What::Fact { attempt, fact: words.fact(word)? }
        }
        ("what", word) => What::Note(words.note(word)?),
        (key, _) => return Err(format!("`attempt` or `what` is missing before `{key}`")),
    };
    match words.words.next() {
        None => Ok(Event { at, by, what }),
        Some(word) => Err(format!("`{word}` does not belong there")),
    }
}

struct Writer(String);

impl Writer {
    fn word(&mut self, key: &str, value: impl std::fmt::Display) {
        let _ = write!(self.0, " {key}={value}");
    }

    fn text(&mut self, key: &str, value: &str) {
        let _ = write!(self.0, " {key}=");
        escape(&mut self.0, value, PLAIN);
    }

    fn instant(&mut self, key: &str, at: BootInstant) {
        self.word(key, at.as_nanos());
    }

    fn fact(&mut self, fact: &Fact) {
        self.word("what", fact.as_str());
        match fact {
            Fact::Asked(ask) => self.ask(ask),
            Fact::Granted { token, deadline } | Fact::Renewed { token, deadline } => {
                self.word("token", token);
                self.instant("deadline", *deadline);
            }
            Fact::Believes { deadline } => self.instant("deadline", *deadline),
            Fact::Lost { cause } => self.word("cause", cause.as_str()),
            Fact::Wrote { token, place } => {
                self.word("place", place);
                if let Some(token) = token {
                    self.word("token", token);
                }
            }
            Fact::Refused { token, newest } => {
                self.word("token", token);
                self.word("newest", newest);
            }
            Fact::Released { token } => self.word("token", token),
            Fact::RenewFailed { kind } | Fact::ReleaseFailed { kind } | Fact::Failed { kind } => {
                self.word("kind", format_args!("{kind:?}"));
            }
            Fact::Queued
            | Fact::Doubts
            | Fact::Releasing
            | Fact::Busy
            | Fact::TimedOut
            | Fact::Dropped => {}
        }
    }

    fn ask(&mut self, ask: &Ask) {
        self.text("name", ask.name.as_str());
        self.word("mode", ModeWord(ask.mode));
        match ask.patience {
            Patience::Forever => self.word("patience", "forever"),
            Patience::None => self.word("patience", "none"),
            Patience::For(time) => self.word("patience", time.as_nanos()),
        }
        self.word("ttl", ask.ttl.as_duration().as_nanos());
        match ask.renewal {
            Renewal::Auto => self.word("renewal", "auto"),
            Renewal::Never => self.word("renewal", "never"),
            Renewal::AutoUntil(time) => {
                self.word("renewal", format_args!("until:{}", time.as_nanos()));
            }
        }
    }

    fn note(&mut self, note: &Note) {
        match note {
            Note::Queued { process, attempt } => {
                self.word("what", "queued");
                self.text("process", process);
                self.word("of", attempt);
            }
            Note::Paused { process } => self.about("paused", process),
            Note::Resumed { process } => self.about("resumed", process),
            Note::Killed { process } => self.about("killed", process),
            Note::FaultBegan { fault, label, expects } => {
                self.word("what", "fault-began");
                self.word("fault", fault);
                self.text("label", label);
                self.expects(expects);
            }
            Note::FaultEnded { fault } => {
                self.word("what", "fault-ended");
                self.word("fault", fault);
            }
            Note::Removed { name, expects } => {
                self.word("what", "removed");
                self.text("name", name.as_str());
                self.expects(expects);
            }
            Note::Healed => self.word("what", "healed"),
        }
    }

    fn about(&mut self, what: &str, process: &str) {
        self.word("what", what);
        self.text("process", process);
    }

    fn expects(&mut self, expects: &Expects) {
        let rules: Vec<_> = expects.0.iter().map(ToString::to_string).collect();
        self.word("expects", if rules.is_empty() { "-".to_owned() } else { rules.join(",") });
    }
}

struct Reader<'a> {
    words: std::str::Split<'a, char>,
    key: &'static str,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(&'a str, &'a str), String> {
        let word = self.words.next().ok_or_else(|| format!("`{}` is the last word", self.key))?;
        word.split_once('=').ok_or_else(|| format!("`{word}` is no `key=value`"))
    }

    fn value(&mut self, key: &'static str) -> Result<&'a str, String> {
        self.key = key;
        match self.next()? {
            (found, value) if found == key => Ok(value),
            (found, _) => Err(format!("`{key}` is missing before `{found}`")),
        }
    }

    fn parsed<T: FromStr>(&mut self, key: &'static str) -> Result<T, String> {
        let value = self.value(key)?;
        value.parse().map_err(|_| wrong(key, value))
    }

    fn read<T>(&mut self, key: &'static str, f: fn(&str) -> Option<T>) -> Result<T, String> {
        let value = self.value(key)?;
        f(value).ok_or_else(|| wrong(key, value))
    }

    fn text(&mut self, key: &'static str) -> Result<String, String> {
        self.read(key, unescape)
    }

    fn instant(&mut self, key: &'static str) -> Result<BootInstant, String> {
        self.parsed(key).map(BootInstant::from_nanos)
    }

    fn name(&mut self) -> Result<LockName, String> {
        self.read("name", |text| LockName::new(unescape(text)?).ok())
    }

    fn process(&mut self) -> Result<Arc<str>, String> {
        self.text("process").map(Into::into)
    }

    fn kind(&mut self) -> Result<ErrorKind, String> {
        self.read("kind", |word| KINDS.into_iter().find(|kind| format!("{kind:?}") == word))
    }

    fn expects(&mut self) -> Result<Expects, String> {
        self.read("expects", |words| match words {
            "-" => Some(Expects::NOTHING),
            _ => words.split(',').map(rule).collect::<Option<_>>().map(Expects),
        })
    }

    fn fact(&mut self, what: &str) -> Result<Fact, String> {
        Ok(match what {
            "asked" => Fact::Asked(Ask {
                name: self.name()?,
                mode: self.read::<Mode>("mode", ModeWord::read)?,
                patience: self.read("patience", patience)?,
                ttl: self.read("ttl", |word| Ttl::new(time(word)?).ok())?,
                renewal: self.read("renewal", renewal)?,
            }),
            "queued" => Fact::Queued,
            "granted" => {
                Fact::Granted { token: self.parsed("token")?, deadline: self.instant("deadline")? }
            }
            "believes" => Fact::Believes { deadline: self.instant("deadline")? },
            "doubts" => Fact::Doubts,
            "renewed" => {
                Fact::Renewed { token: self.parsed("token")?, deadline: self.instant("deadline")? }
            }
            "renew-failed" => Fact::RenewFailed { kind: self.kind()? },
            "lost" => Fact::Lost { cause: self.read("cause", cause)? },
            "wrote" => {
                let place = self.parsed("place")?;
                let has_token = self.words.clone().next().is_some();
                let token = if has_token { Some(self.parsed("token")?) } else { None };
                Fact::Wrote { token, place }
            }
            "refused" => {
                Fact::Refused { token: self.parsed("token")?, newest: self.parsed("newest")? }
            }
            "releasing" => Fact::Releasing,
            "released" => Fact::Released { token: self.parsed("token")? },
            "release-failed" => Fact::ReleaseFailed { kind: self.kind()? },
            "busy" => Fact::Busy,
            "timed-out" => Fact::TimedOut,
            "failed" => Fact::Failed { kind: self.kind()? },
            "dropped" => Fact::Dropped,
            _ => return Err(format!("`{what}` is nothing that an attempt does")),
        })
    }

    fn note(&mut self, what: &str) -> Result<Note, String> {
        Ok(match what {
            "queued" => Note::Queued { process: self.process()?, attempt: self.parsed("of")? },
            "paused" => Note::Paused { process: self.process()? },
            "resumed" => Note::Resumed { process: self.process()? },
            "killed" => Note::Killed { process: self.process()? },
            "fault-began" => Note::FaultBegan {
                fault: self.parsed("fault")?,
                label: self.text("label")?,
                expects: self.expects()?,
            },
            "fault-ended" => Note::FaultEnded { fault: self.parsed("fault")? },
            "removed" => Note::Removed { name: self.name()?, expects: self.expects()? },
            "healed" => Note::Healed,
            _ => return Err(format!("`{what}` is nothing that is noted")),
        })
    }
}

fn wrong(key: &str, value: &str) -> String {
    format!("`{key}` cannot be `{value}`")
}

fn time(word: &str) -> Option<Duration> {
    word.parse().ok().map(Duration::from_nanos)
}

fn patience(word: &str) -> Option<Patience> {
    match word {
        "forever" => Some(Patience::Forever),
        "none" => Some(Patience::None),
        _ => time(word).map(Patience::For),
    }
}

fn renewal(word: &str) -> Option<Renewal> {
    match word {
        "auto" => Some(Renewal::Auto),
        "never" => Some(Renewal::Never),
        _ => time(word.strip_prefix("until:")?).map(Renewal::AutoUntil),
    }
}

fn cause(word: &str) -> Option<LossCause> {
    CAUSES.into_iter().find(|cause| cause.as_str() == word)
}

fn rule(word: &str) -> Option<Rule> {
    Rule::ALL.into_iter().find(|rule| rule.to_string() == word)
}

const PLAIN: &[u8] = b"._/-";

const KINDS: [ErrorKind; 11] = [
    ErrorKind::Backend,
    ErrorKind::Closed,
    ErrorKind::Indeterminate,
    ErrorKind::InvalidConfig,
    ErrorKind::InvalidName,
    ErrorKind::Lost,
    ErrorKind::NotHeld,
    ErrorKind::QueueFull,
    ErrorKind::Unauthorized,
    ErrorKind::Unavailable,
    ErrorKind::Unsupported,
];

const CAUSES: [LossCause; 6] = [
    LossCause::Expired,
    LossCause::MaxHold,
    LossCause::Released,
    LossCause::Revoked,
    LossCause::SessionEnded,
    LossCause::Shutdown,
];

//! What is written is read back, and nothing else is read.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use std::{env, fs, thread};

use lock_conformance::history::{
    Ask, Event, Expects, Fact, Journal, Log, Note, Patience, ReadError, What, line,
};
use lock_conformance::time::patience;
use lockcore::{
    BootInstant, ErrorKind, FencingToken, LockName, LossCause, Mode, Renewal, Rule, Ttl,
};

fn at(nanos: u64) -> BootInstant {
    BootInstant::from_nanos(nanos)
}

fn every_event() -> Vec<Event> {
    let (token, deadline, kind) = (FencingToken::new(7).unwrap(), at(9), ErrorKind::NotHeld);
    let process = || Arc::from("w 1/%");
    let name = LockName::new("a b=c\n%é").unwrap();
    let ask = |mode, patience, renewal| {
        Fact::Asked(Ask { name: name.clone(), mode, patience, ttl: Ttl::DEFAULT, renewal })
    };
    let three = Mode::Permit { of: 3.try_into().unwrap() };
    let time = Duration::from_millis(1_500);
    let facts = [
        ask(Mode::Exclusive, Patience::Forever, Renewal::Auto),
        ask(Mode::Shared, Patience::None, Renewal::Never),
        ask(three, Patience::For(time), Renewal::AutoUntil(time)),
        Fact::Queued,
        Fact::Granted { token, deadline },
        Fact::Believes { deadline },
        Fact::Doubts,
        Fact::Renewed { token, deadline },
        Fact::RenewFailed { kind },
        Fact::Lost { cause: LossCause::SessionEnded },
        Fact::Wrote { token: Some(token), place: 4 },
        Fact::Wrote { token: None, place: 5 },
        Fact::Refused { token, newest: token },
        Fact::Releasing,
        Fact::Released { token },
        Fact::ReleaseFailed { kind },
        Fact::Busy,
        Fact::TimedOut,
        Fact::Failed { kind },
        Fact::Dropped,
    ];
    let notes = [
        Note::Queued { process: process(), attempt: 8 },
        Note::Paused { process: process() },
        Note::Resumed { process: process() },
        Note::Killed { process: process() },
        Note::FaultBegan {
            fault: 1,
            label: "cut, both ways".to_owned(),
            expects: [Rule::R1, Rule::R16].into(),
        },
        Note::FaultEnded { fault: 1 },
        Note::Removed { name: name.clone(), expects: Expects::NOTHING },
        Note::Healed,
    ];
    let facts = facts.map(|fact| What::Fact { attempt: 11, fact });
    let what = facts.into_iter().chain(notes.map(What::Note));
    what.enumerate().map(|(n, what)| Event { at: at(n as u64), by: process(), what }).collect()
}

#[test]
fn every_event_is_read_as_it_was_written() {
    for event in every_event() {
        let text = line::write(&event);
        assert!(text.is_ascii() && !text.contains(['\n', '\0']), "{text}");
        assert_eq!(line::read(&text).as_ref(), Ok(&event), "{text}");
    }
}

/// A word that is missing, changed or too many is told.
#[test]
fn no_other_line_is_read() {
    for event in every_event() {
        let text = line::write(&event);
        let words: Vec<_> = text.split(' ').collect();
        // The token of a write is the one word that may be missing.
        let must = words.len() - usize::from(text.contains("what=wrote") && words.len() == 6);
        for cut in 0..must {
            let mut fewer = words.clone();
            fewer.remove(cut);
            assert!(line::read(&fewer.join(" ")).is_err(), "{text} without {}", words[cut]);
            let mut other = words.clone();
            let empty = words[cut].split('=').next().unwrap().to_owned() + "=";
            other[cut] = &empty;
            // A process without a name is one as well.
            let is_text = ["by", "process", "label"].contains(&empty.trim_end_matches('='));
            assert_eq!(line::read(&other.join(" ")).is_ok(), is_text, "{}", other.join(" "));
        }
        assert!(line::read(&format!("{text} more=1")).is_err());
    }
    for garbage in ["", " ", "at", "at=1", "at=-1 by=a what=healed", "at=1  by=a what=healed"] {
        assert!(line::read(garbage).is_err(), "{garbage:?}");
    }
}

#[test]
fn what_threads_write_is_read_from_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::create(dir.path().join("a.log"), "a").unwrap();
    assert!(Journal::create(dir.path().join("a.log"), "b").is_err(), "it is there already");
    fs::write(dir.path().join("notes.txt"), "no log").unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let attempt = journal.attempt();
                (0..250).for_each(|_| attempt.log(Fact::Doubts));
            });
        }
    });
    let log = Log::read(dir.path()).unwrap();
    assert_eq!((log.len(), log.torn()), (1_000, 0));
    let mut of_attempt = [0; 4];
    for event in log.events() {
        let What::Fact { attempt, fact: Fact::Doubts } = &event.what else { panic!("{event:?}") };
        of_attempt[*attempt as usize - 1] += 1;
    }
    assert_eq!(of_attempt, [250; 4]);
    let last = log.place(999).unwrap();
    assert_eq!((last.line, line::read(&last.text).is_ok()), (1_000, true), "{last}");
    assert_eq!(log.place(1_000), None);
}

/// A killed process tears its last line, wherever.
#[test]
fn a_torn_line_is_ignored_and_counted() {
    let whole = "at=1 by=a what=healed\n";
    let torn = "at=2 by=a what=healed";
    for len in 1..=torn.len() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.log"), format!("{whole}{}", &torn[..len])).unwrap();
        let log = Log::read(dir.path()).unwrap();
        assert_eq!((log.len(), log.torn()), (1, 1));
    }
}

#[test]
fn a_bad_line_is_named() {
    let good = "at=1 by=a what=healed\n";
    for (text, line) in [
        (format!("{good}{good}at=1 by=a what=nonsense\n"), 3),
        (format!("{good}\n{good}"), 2),
        (format!("{good}at=1 by=b what=healed\n"), 2),
        ("garbage\n".to_owned(), 1),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.log");
        fs::write(&file, &text).unwrap();
        let error = Log::read(dir.path()).unwrap_err();
        assert!(matches!(error, ReadError::Line { line: found, .. } if found == line), "{error}");
        assert!(error.to_string().starts_with(&format!("{}:{line}: ", file.display())), "{error}");
    }
}

#[test]
fn one_process_has_one_log() {
    let dir = tempfile::tempdir().unwrap();
    for file in ["a.log", "b.log"] {
        Journal::create(dir.path().join(file), "worker").unwrap().note(Note::Healed);
    }
    let error = Log::read(dir.path()).unwrap_err();
    assert!(error.to_string().contains("b.log:1: `worker` has another log"), "{error}");
    let error = Log::read(dir.path().join("missing")).unwrap_err();
    assert!(matches!(error, ReadError::Io { .. }), "{error}");
    // Not UTF-8 at all.
    let mut file = fs::File::create(dir.path().join("b.log")).unwrap();
    file.write_all(b"\xff\n").unwrap();
    assert!(matches!(Log::read(dir.path()).unwrap_err(), ReadError::Io { .. }));
}

/// Two processes at turns, on one clock: the first kills the second while it writes.
#[test]
fn processes_share_a_clock() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::create(dir.path().join("parent.log"), "parent").unwrap();
    journal.note(Note::Healed);
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["format::a_process_that_writes_until_it_is_killed", "--exact"])
        .env(CHILD, dir.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let limit = BootInstant::now().saturating_add(patience());
    let events = || Log::read(dir.path()).unwrap().len();
    while events() < 100 {
        assert!(BootInstant::now() < limit, "{} events", events());
        thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    journal.note(Note::Killed { process: "child".into() });

    let log = Log::read(dir.path()).unwrap();
    assert!(log.torn() <= 1);
    let of_child: Vec<_> = log.events().filter(|event| &*event.by == "child").collect();
    let of_parent: Vec<_> = log.events().filter(|event| &*event.by == "parent").collect();
    assert!(of_child.is_sorted_by_key(|event| event.at));
    assert!(of_child.iter().all(|event| event.at > of_parent[0].at && event.at < of_parent[1].at));
}

#[test]
fn a_process_that_writes_until_it_is_killed() {
    let Some(dir) = env::var_os(CHILD) else { return };
    let journal = Journal::create(Path::new(&dir).join("child.log"), "child").unwrap();
    // Not for ever, if its parent fails.
    (0..200_000).for_each(|_| journal.note(Note::Healed));
}

const CHILD: &str = "LOCK_CONFORMANCE_LOG";

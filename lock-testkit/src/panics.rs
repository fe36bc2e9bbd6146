//! Panics of tasks that nobody waits for.

use std::panic::{self, PanicHookInfo};
use std::sync::{Mutex, Once, PoisonError};

/// Notes the panics of this process from now on. What they print is printed as before.
///
/// Those of the tests themselves, in a folder `tests`, are not among them: the harness shows those.
#[derive(Debug)]
pub struct Panics {
    from: usize,
}

impl Panics {
    /// Notes them from now on.
    pub fn watch() -> Self {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let before = panic::take_hook();
            panic::set_hook(Box::new(move |info| {
                note(info);
                before(info);
            }));
        });
        Self { from: noted().len() }
    }

    /// Where there was one so far, and what it said.
    pub fn seen(&self) -> Vec<String> {
        noted()[self.from..].to_vec()
    }
}

fn note(info: &PanicHookInfo<'_>) {
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    if !place.contains("/tests/") {
        let payload = info.payload();
        let said = payload.downcast_ref::<&str>().copied();
        let said = said.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        let said = said.unwrap_or("something that is no text");
        noted().push(format!("{place}: {said}"));
    }
}

fn noted() -> std::sync::MutexGuard<'static, Vec<String>> {
    static NOTED: Mutex<Vec<String>> = Mutex::new(Vec::new());
    NOTED.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_a_thread_is_seen_by_who_watches_since() {
        let before = Panics::watch();
        std::thread::spawn(|| panic!("for {}", "nobody")).join().unwrap_err();
        let after = Panics::watch();
        let seen = before.seen();
        assert!(
            seen.iter()
                .any(|panic| panic.contains("src/panics.rs") && panic.contains("for nobody"))
        );
        assert!(!after.seen().iter().any(|panic| panic.contains("for nobody")));
    }
}

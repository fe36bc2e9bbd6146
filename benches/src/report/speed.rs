//! What the README says about speed: lines of a report, and nothing else.

use serde_json::Value;

use super::text::{rate, time, times};
use crate::subjects::store::broken::{DEATH, FAILOVER, RESTART, SILENCE};
use crate::subjects::store::{FREE, HAND_OFF, LATE_HAND_OFF, ONE_NAME, OWN_NAMES};

/// A row of the table: what a backend's cell says, if there is something to say.
struct Row {
    title: &'static str,
    cell: fn(&Value, &str) -> Option<String>,
}

/// The table in Markdown, with the date and the machine.
pub(crate) fn speed(report: &Value) -> String {
    let mut text = String::from("| |");
    BACKENDS.iter().for_each(|backend| text += &format!(" `{backend}` |"));
    text += "\n|---|";
    BACKENDS.iter().for_each(|_| text += "---|");
    for row in ROWS {
        text += &format!("\n| {} |", row.title);
        for backend in BACKENDS {
            let cell = (row.cell)(report, backend);
            text += &format!(" {} |", cell.as_deref().unwrap_or("–"));
        }
    }
    let machine = &report["machine"];
    let [cpu, kernel] = ["cpu", "kernel"].map(|field| machine[field].as_str().unwrap_or("?"));
    let (date, cores) = (report["date"].as_str().unwrap_or("?"), &machine["cores"]);
    text += &format!(
        "\n\n{date}, {cores} cores, {cpu}, kernel {kernel}. An exclamation mark: the rounds leave the \
         ratio\nto the others open by more than 15 %.\n"
    );
    text
}

const ROWS: &[Row] = &[
    Row {
        title: "a free lock, taken and given back, p50",
        cell: |report, backend| p50(ours(report, backend, FREE)?),
    },
    Row {
        title: "that, over the bare client's two requests (`local`: over tokio's mutex)",
        cell: |report, backend| {
            let ours = ours(report, backend, FREE)?;
            Some(marked(ours, format!("{} ×", times(ours["ratio"]["median"].as_f64()?))))
        },
    },
    Row {
        title: "from a release until the next in line has the lock, p50",
        cell: |report, backend| p50(ours(report, backend, HAND_OFF)?),
    },
    Row {
        title: "that, with others",
        cell: |report, backend| {
            let all = results(report, backend, HAND_OFF);
            named(all.filter(|result| !is_ours(result)))
        },
    },
    Row {
        title: "the same to one that has waited for 150 ms, and others",
        cell: |report, backend| named(results(report, backend, LATE_HAND_OFF)),
    },
    Row {
        title: "64 tasks on own names, locks a second",
        cell: |report, backend| per_second(ours(report, backend, OWN_NAMES)?),
    },
    Row {
        title: "8 tasks on one name, locks a second",
        cell: |report, backend| per_second(ours(report, backend, ONE_NAME)?),
    },
    Row { title: DEATH, cell: |report, backend| delay(report, backend, DEATH) },
    Row { title: SILENCE, cell: |report, backend| delay(report, backend, SILENCE) },
    Row { title: RESTART, cell: |report, backend| delay(report, backend, RESTART) },
    Row { title: FAILOVER, cell: |report, backend| delay(report, backend, FAILOVER) },
];

const BACKENDS: [&str; 4] = ["local", "redis", "etcd", "zk"];

fn results<'r>(
    report: &'r Value,
    backend: &str,
    question: &str,
) -> impl Iterator<Item = &'r Value> {
    of(&report["results"], backend, question)
}

fn of<'r>(list: &'r Value, backend: &str, question: &str) -> impl Iterator<Item = &'r Value> {
    let is_asked =
        move |entry: &&Value| entry["backend"] == backend && entry["question"] == question;
    list.as_array().into_iter().flatten().filter(is_asked)
}

fn ours<'r>(report: &'r Value, backend: &str, question: &str) -> Option<&'r Value> {
    results(report, backend, question).find(|result| is_ours(result))
}

fn is_ours(entry: &Value) -> bool {
    entry["subject"].as_str().is_some_and(|subject| subject.starts_with("lock-"))
}

/// As the report marks what a second run may not repeat.
fn marked(result: &Value, text: String) -> String {
    if result["noisy"] == true { text + " !" } else { text }
}

/// Each with its name.
fn named<'r>(results: impl Iterator<Item = &'r Value>) -> Option<String> {
    let lines = results
        .filter_map(|result| Some(format!("{}: {}", result["subject"].as_str()?, p50(result)?)));
    let lines: Vec<_> = lines.collect();
    (!lines.is_empty()).then(|| lines.join("<br>"))
}

fn p50(result: &Value) -> Option<String> {
    Some(marked(result, time(result["p50_us"].as_f64()?)))
}

fn per_second(result: &Value) -> Option<String> {
    Some(marked(result, rate(result["rate"].as_f64()?)))
}

/// The median of the times that it took.
fn delay(report: &Value, backend: &str, question: &str) -> Option<String> {
    let lapse = of(&report["delays"], backend, question).find(|lapse| is_ours(lapse))?;
    let times = lapse["ms"].as_array()?;
    Some(time(times.get(times.len() / 2)?.as_f64()? * 1e3))
}

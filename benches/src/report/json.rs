//! The report for programs.

use std::time::Duration;

use serde_json::{Value, json};

use super::Report;

impl Report {
    /// All of it.
    pub(super) fn to_json(&self) -> Value {
        let one_of = |(one_of, us): &(f64, f64)| json!({ "one_of": one_of, "us": us });
        let results = self.groups.iter().flat_map(|group| {
            group.results.iter().map(|measured| {
                json!({
                    "backend": group.backend,
                    "question": group.question,
                    "subject": measured.subject,
                    "p50_us": measured.p50_us,
                    "p99_us": measured.p99_us,
                    "rate": measured.rate,
                    "ratio": measured.ratio.as_ref().map(|ratio| json!({
                        "to": group.base,
                        "of": group.headline.as_str(),
                        "median": ratio.median,
                        "low": ratio.range.start,
                        "high": ratio.range.end,
                        "rounds": ratio.rounds,
                    })),
                    "noisy": group.is_disturbed || measured.is_noisy(),
                    "tail": measured.tail.iter().map(one_of).collect::<Vec<_>>(),
                    "others": group.others,
                })
            })
        });
        let counts = self.tallies.iter().flat_map(|tally| {
            tally.results.iter().map(|counts| {
                json!({
                    "backend": tally.backend,
                    "question": tally.question,
                    "subject": counts.subject,
                    "counts": object(tally.units, &counts.counts),
                })
            })
        });
        let delays = self.lapses.iter().flat_map(|lapse| {
            lapse.results.iter().map(|lapses| {
                let ms = |time: &Duration| time.as_secs_f64() * 1e3;
                json!({
                    "backend": lapse.backend,
                    "question": lapse.question,
                    "subject": lapses.subject,
                    "ms": lapses.times.iter().map(ms).collect::<Vec<_>>(),
                })
            })
        });
        let trips = self.trips().into_iter().map(|one| {
            json!({
                "backend": one.backend,
                "question": one.question,
                "subject": one.subject,
                "trips": one.trips,
            })
        });
        let bars = self.verdicts.iter().map(|verdict| {
            json!({
                "name": verdict.name,
                "value": verdict.value,
                "low": verdict.range.as_ref().map(|range| range.start),
                "high": verdict.range.as_ref().map(|range| range.end),
                "bar": verdict.bound.to_string(),
                "ok": verdict.is_ok(),
                "close": verdict.is_close(),
                "noisy": verdict.is_noisy,
            })
        });
        json!({
            "results": results.collect::<Vec<_>>(),
            "counts": counts.collect::<Vec<_>>(),
            "failures": self.failed(),
            "delays": delays.collect::<Vec<_>>(),
            "trips": trips.collect::<Vec<_>>(),
            "bars": bars.collect::<Vec<_>>(),
            "machine": {
                "cores": self.machine.cores,
                "cpu": self.machine.cpu,
                "kernel": self.machine.kernel,
            },
            "date": humantime::format_rfc3339_seconds(self.date).to_string(),
            "quick": self.quick,
            "interrupted": self.is_interrupted,
        })
    }
}

fn object(names: &[&str], values: &[f64]) -> Value {
    let entries = names.iter().zip(values);
    Value::Object(entries.map(|(name, value)| ((*name).to_owned(), json!(value))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::report;

    #[test]
    fn json_has_every_number() {
        let json = report().to_json();
        assert_eq!(json["results"][0]["p50_us"], 0.1);
        assert_eq!(json["results"][0]["noisy"], true);
        assert_eq!(json["results"][0]["ratio"]["median"], 0.25);
        assert_eq!(json["results"][1]["ratio"], Value::Null);
        assert_eq!(
            json["bars"][1],
            json!({
                "name": "local free: ours / peer", "value": 1.2, "low": 1.1, "high": 1.6,
                "bar": ">= 1.5", "ok": false, "close": true, "noisy": true,
            })
        );
        assert_eq!(json["bars"][2]["value"], Value::Null);
        let counts = json!({ "bytes": 1_024.4, "commands": 3.0 });
        assert_eq!(json["counts"][0]["counts"], counts);
        assert_eq!(json["date"], "1970-01-01T00:00:00Z");
        assert_eq!((&json["machine"]["cores"], &json["quick"]), (&json!(2), &json!(false)));
    }
}

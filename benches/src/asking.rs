//! One question, while it is asked.

use std::time::Duration;

use anyhow::{Error, Result};

use crate::cores::Apart;
use crate::harness::{Backend, Contestant, Failure, Group, Plan, Question};
use crate::machine::CpuTime;
use crate::measured::{Measured, Ratio, median};
use crate::progress::Progress;
use crate::sitting::Sitting;
use crate::workload::{Load, Round};

/// What is known of the answers so far.
pub(crate) struct Asking<'b> {
    backend: &'b Backend,
    pub(crate) question: &'b Question,
    parts: Vec<Part<'b>>,
    failures: Vec<Failure>,
    /// The share of the machine that others had, in each round.
    others: Vec<Option<f64>>,
}

/// What one subject does at a question.
struct Part<'b> {
    /// Among the subjects of the backend.
    place: usize,
    subject: &'b dyn Contestant,
    load: Load,
    rounds: Vec<Round>,
    error: Option<Error>,
}

impl<'b> Asking<'b> {
    /// Of all who answer.
    pub(crate) fn new(backend: &'b Backend, question: &'b Question) -> Self {
        let load = question.load(question.workload.least_batches());
        let part =
            |(place, subject)| Part { place, subject, load, rounds: Vec::new(), error: None };
        let parts = backend.subjects_of(question).into_iter().map(part).collect();
        Self { backend, question, parts, failures: Vec::new(), others: Vec::new() }
    }

    /// As many rounds of each as are due in this sitting, after a warm-up. If somebody has had enough
    /// meanwhile, it is as if there had been none: what is not whole says nothing, and servers may have
    /// been interrupted as well.
    pub(crate) fn sit(
        &mut self,
        sitting: &Sitting<'_>,
        plan: Plan,
        progress: &Progress,
    ) -> Result<()> {
        let (before, due) = (self.others.len(), sitting.share(plan.rounds_of(self.question)));
        if due == 0 {
            return Ok(());
        }
        let (long, warm_up_takes) = (plan.round_of(self.backend), plan.warm_up(self.backend));
        let alone = self.backend.server.filter(|_| self.question.workload.is_one_at_a_time());
        let _apart = alone.map(Apart::from).transpose()?;
        self.each(progress, |part, question| {
            let round = |load| sitting.round(part.place, question, load);
            part.load = warm_up(round, part.load, long)?;
            progress.step(warm_up_takes);
            Ok(())
        });

        let mut repeats = due * REPEATS;
        while self.others.len() < before + due && !progress.is_interrupted() {
            let start = CpuTime::read(sitting.process());
            self.each(progress, |part, question| {
                part.rounds.push(sitting.round(part.place, question, part.load)?);
                progress.step(long);
                Ok(())
            });
            let next = self.parts.len().min(1);
            self.parts.rotate_left(next);
            let now = CpuTime::read(sitting.process());
            let others = now.zip(start).map(|(now, start)| now.others_since(start));
            if self.backend.is_disturbed_by(others) && repeats > 0 {
                repeats -= 1;
                self.forget_after(self.others.len());
                progress.back(long * self.parts.len() as u32);
            } else {
                self.others.push(others);
            }
        }
        if progress.is_interrupted() {
            self.forget_after(before);
            self.parts.iter_mut().for_each(|part| part.error = None);
        }
        let failed = self.parts.extract_if(.., |part| part.error.is_some());
        self.failures.extend(
            failed.filter_map(|part| Some(Failure::new(part.subject.name(), &part.error?))),
        );
        Ok(())
    }

    /// The answers, if anybody has been asked.
    pub(crate) fn group(mut self) -> Option<Group> {
        if self.others.is_empty() {
            return None;
        }
        let (question, headline) = (self.question, self.question.headline());
        self.parts.sort_by_key(|part| part.place);
        let measured = |part: &Part<'_>| {
            Measured::new(part.subject.name(), question.workload, headline, &part.rounds)
        };
        let mut results: Vec<_> = self.parts.iter().map(measured).collect();
        let base = compare(&mut results, self.backend.floor);
        let others = self.others.into_iter().collect::<Option<Vec<f64>>>().map(median);
        Some(Group {
            backend: self.backend.name,
            question: question.name,
            workload: question.workload,
            headline,
            base,
            results,
            failures: self.failures,
            others,
            is_disturbed: self.backend.is_disturbed_by(others),
        })
    }

    /// Those that have not failed, in turn.
    fn each(
        &mut self,
        progress: &Progress,
        mut attempt: impl FnMut(&mut Part<'b>, &'b Question) -> Result<()>,
    ) {
        for part in self.parts.iter_mut().filter(|part| part.error.is_none()) {
            progress.running(self.backend.name, self.question.name, part.subject.name());
            part.error = attempt(part, self.question).err();
        }
    }

    fn forget_after(&mut self, rounds: usize) {
        self.others.truncate(rounds);
        self.parts.iter_mut().for_each(|part| part.rounds.truncate(rounds));
    }
}

/// Compares all with the floor, or with the first if that does not answer; returns who that is.
fn compare(results: &mut [Measured], floor: &'static str) -> &'static str {
    let Some(first) = results.first() else { return floor };
    let base = results.iter().find(|measured| measured.subject == floor).unwrap_or(first);
    let (base, rounds) = (base.subject, base.rounds.clone());
    for measured in results.iter_mut().filter(|measured| measured.subject != base) {
        measured.ratio = Ratio::of(&measured.rounds, &rounds);
    }
    base
}

/// Has a subject run for a while, from this load on, and finds the load that lasts so long.
fn warm_up(
    mut round: impl FnMut(Load) -> Result<Round>,
    mut load: Load,
    long: Duration,
) -> Result<Load> {
    let least = load.workload.least_batches();
    load.batches = (load.batches / 2).max(least);
    loop {
        let took = round(load)?.took;
        let factor = long.as_secs_f64() / took.as_secs_f64().max(f64::MIN_POSITIVE);
        // The shorter the trial, the less it says about a longer one.
        load.batches = scaled(load.batches, factor.min(GREATEST_STEP)).max(least);
        if factor <= GREATEST_STEP / 2.0 {
            return Ok(load);
        }
    }
}

fn scaled(batches: u32, factor: f64) -> u32 {
    (f64::from(batches) * factor).round().clamp(1.0, f64::from(u32::MAX)) as u32
}

/// How often all rounds may be repeated for the sake of quiet.
const REPEATS: usize = 2;

const GREATEST_STEP: f64 = 8.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn load_grows_within_bounds() {
        assert_eq!(scaled(1, 0.01), 1, "never nothing");
        assert_eq!(scaled(10, 2.5), 25);
        assert_eq!(scaled(u32::MAX, 8.0), u32::MAX);
    }
}

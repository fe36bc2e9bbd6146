//! Which faults come in which order: the same for the same seed.

use fastrand::Rng;

use crate::fault::{Backend, Fault};

/// All faults that a store has, again and again, in an order of its own each time.
pub(crate) struct Plan {
    rng: Rng,
    faults: Vec<Fault>,
    backend: Backend,
    /// How many rounds are over.
    round: usize,
    /// What is left of this round.
    left: Vec<Fault>,
}

impl Plan {
    pub(crate) fn new(backend: Backend, faults: Vec<Fault>, seed: u64) -> Self {
        Self { rng: Rng::with_seed(seed), faults, backend, round: 0, left: Vec::new() }
    }
}

/// A fault and its form.
impl Iterator for Plan {
    type Item = (Fault, &'static str);

    fn next(&mut self) -> Option<Self::Item> {
        if self.left.is_empty() {
            self.left.clone_from(&self.faults);
            self.rng.shuffle(&mut self.left);
            self.round += 1;
        }
        let fault = self.left.pop()?;
        let forms = fault.forms(self.backend);
        Some((fault, forms[(self.round - 1) % forms.len()]))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn one_seed_is_one_plan_with_every_fault_in_every_round() {
        let faults: Vec<_> = Fault::value_variants()
            .iter()
            .copied()
            .filter(|fault| fault.applies_to(Backend::Etcd))
            .collect();
        let plan = |seed| Plan::new(Backend::Etcd, faults.clone(), seed).take(3 * faults.len());
        let one: Vec<_> = plan(7).collect();
        assert_eq!(one, plan(7).collect::<Vec<_>>());
        assert_ne!(one, plan(8).collect::<Vec<_>>());
        for round in one.chunks(faults.len()) {
            let drawn: BTreeSet<_> = round.iter().map(|(fault, _)| *fault).collect();
            assert_eq!(drawn.len(), faults.len());
        }
        let silent = one.iter().filter(|(fault, _)| *fault == Fault::SilentLink);
        let forms: Vec<_> = silent.map(|(_, form)| *form).collect();
        assert_eq!(forms, ["both ways", "requests", "replies"]);
    }
}

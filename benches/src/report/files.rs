//! Plots that stand alone, and the copy of a report that the repository keeps.

use std::fs::{self, OpenOptions};
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use super::Report;
use super::growth::Axis;
use super::plot;
use super::speed::speed;
use super::text::time;
use crate::subjects::FAR;
use crate::subjects::store::broken::{DEATH, FAILOVER, RESTART, SILENCE};
use crate::subjects::store::{FREE, HAND_OFF};

impl Report {
    /// Plots by the ends of the names of their files.
    pub(super) fn plots(&self) -> Result<Vec<(String, String)>> {
        let mut plots = Vec::new();
        let mut add = |name: &str, svg: String| {
            plots.push((format!("{name}.svg"), plot::alone(&svg)));
        };
        for (name, question) in [("free-lock", FREE), ("hand-off", HAND_OFF)] {
            let groups = self.groups.iter().filter(|group| {
                group.question.starts_with(question) && !group.backend.ends_with(FAR)
            });
            let dots: Vec<_> = groups
                .flat_map(|group| group.dots_of(group.backend, &group.question[question.len()..]))
                .collect();
            if !dots.is_empty() {
                add(name, plot::dots(&dots, time)?);
            }
        }
        for (name, axis) in
            [("growth-own-names", Axis::OwnNames), ("growth-one-name", Axis::OneName)]
        {
            if let Some(svg) = self.growth_plot(axis)? {
                add(name, svg);
            }
        }
        let broken =
            [("killed", DEATH), ("silent", SILENCE), ("restart", RESTART), ("failover", FAILOVER)];
        for (name, question) in broken {
            let dots = self.dots_when(question);
            if !dots.is_empty() {
                add(name, plot::dots(&dots, time)?);
            }
        }
        Ok(plots)
    }

    /// Puts the report into `benches/results` of the repository, and what it says of speed into the
    /// README.
    pub(crate) fn keep(&self, root: &Path) -> Result<()> {
        self.write(&root.join(KEPT).join("report.json"))?;
        let readme = root.join("README.md");
        let text = fs::read_to_string(&readme).with_context(|| readme.display().to_string())?;
        let text = with_speed(&text, &speed(&self.to_json()))?;
        fs::write(&readme, text).with_context(|| readme.display().to_string())
    }
}

/// Whether a report can go there; what is there stays as it is.
pub(crate) fn can_be_written(path: &Path) -> Result<()> {
    ensure!(
        path.extension().is_some_and(|extension| extension == "json"),
        "the report is JSON, with a page and plots beside it: `--output {}` should end in .json",
        path.display()
    );
    let why = || format!("the report cannot go to {}: choose another `--output`", path.display());
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).with_context(why)?;
    }
    OpenOptions::new().append(true).create(true).open(path).with_context(why)?;
    Ok(())
}

/// The README with these lines about speed.
fn with_speed(readme: &str, speed: &str) -> Result<String> {
    let (before, rest) = readme.split_once(BEGIN).context("the README has no place for speed")?;
    let (_, after) = rest.split_once(END).context("the README's lines about speed do not end")?;
    ensure!(!after.contains(BEGIN), "the README has two places for speed");
    Ok(format!("{before}{BEGIN}\n\n{speed}\n{END}{after}"))
}

/// Where the repository keeps the latest report.
const KEPT: &str = "benches/results";
const BEGIN: &str = "<!-- written by `cargo xtask bench --keep` -->";
const END: &str = "<!-- until here -->";

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn readme_says_what_the_report_says() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let report = fs::read_to_string(root.join(KEPT).join("report.json")).unwrap();
        let report: Value = serde_json::from_str(&report).unwrap();
        assert_eq!(report["quick"], false);
        let readme = fs::read_to_string(root.join("README.md")).unwrap();
        assert_eq!(with_speed(&readme, &speed(&report)).unwrap(), readme);
        for part in ["report.hand-off.svg", "report.html"] {
            let name = format!("{KEPT}/{part}");
            assert!(readme.contains(&name) && root.join(&name).exists(), "{name}");
        }
    }

    #[test]
    fn what_cannot_be_written_is_refused() {
        let why = |path: &str| format!("{:#}", can_be_written(Path::new(path)).unwrap_err());
        assert!(why("report.html").contains("should end in .json"));
        assert!(why("/proc/nowhere/report.json").contains("choose another `--output`"));
    }

    #[test]
    fn only_what_stands_between_the_marks_is_replaced() {
        let readme = format!("a {BEGIN} old {END} b");
        assert_eq!(with_speed(&readme, "new").unwrap(), format!("a {BEGIN}\n\nnew\n{END} b"));
        assert!(with_speed("a", "new").is_err() && with_speed(BEGIN, "new").is_err());
    }
}

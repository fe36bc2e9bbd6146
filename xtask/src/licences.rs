//! What we depend on: under which licence, from where, and what the contract must never see.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, bail};
use cargo_metadata::{DependencyKind, Metadata, Package, PackageId};
use spdx::{Expression, Licensee, ParseMode};

use crate::workspace;

pub(crate) fn run() -> Result<()> {
    let metadata = workspace::metadata()?;
    let resolve = metadata.resolve.as_ref().context("cargo resolved no graph")?;
    let allowed = Allowed::parse(ALLOWED)?;

    let mut offenders = Vec::new();
    for node in &resolve.nodes {
        let package = &metadata[&node.id];
        let complaints = [
            allowed.complaint(package.license.as_deref()),
            source_complaint(package, metadata.workspace_root.as_std_path()),
        ];
        for complaint in complaints.into_iter().flatten() {
            offenders.push(format!("{} {}: {complaint}", package.name, package.version));
        }
    }
    for name in normal_dependencies(&metadata, CONTRACT)? {
        if STORE_CLIENTS.contains(&name) {
            offenders.push(format!("{CONTRACT}: depends on the store client {name}"));
        }
    }

    if !offenders.is_empty() {
        bail!("{} offences:\n  {}", offenders.len(), offenders.join("\n  "));
    }
    println!("licences: {} packages … ok", resolve.nodes.len());
    Ok(())
}

struct Allowed {
    licensees: Vec<Licensee>,
}

impl Allowed {
    fn parse(list: &[&str]) -> Result<Self> {
        let licensees = list
            .iter()
            .map(|entry| Licensee::parse(entry).with_context(|| format!("bad entry {entry:?}")))
            .collect::<Result<_>>()?;
        Ok(Self { licensees })
    }

    /// Why a package under `expression` may not be used.
    fn complaint(&self, expression: Option<&str>) -> Option<String> {
        let Some(text) = expression else { return Some("has no licence expression".to_owned()) };
        // Lax: old manifests say `MIT/Apache-2.0`.
        match Expression::parse_mode(text, ParseMode::LAX) {
            Err(error) => Some(format!("licence {text:?} cannot be read: {}", error.reason)),
            Ok(expression) => {
                let ok = expression.evaluate(|req| self.licensees.iter().any(|l| l.satisfies(req)));
                (!ok).then(|| format!("licence {text:?} is not allowed"))
            }
        }
    }
}

fn source_complaint(package: &Package, root: &Path) -> Option<String> {
    match &package.source {
        Some(source) if source.is_crates_io() => None,
        Some(source) => Some(format!("comes from {source}, not from the default registry")),
        None if package.manifest_path.as_std_path().starts_with(root) => None,
        None => Some(format!("{} is outside the workspace", package.manifest_path)),
    }
}

/// The names of all that `package` links, directly or not.
fn normal_dependencies<'a>(metadata: &'a Metadata, package: &str) -> Result<BTreeSet<&'a str>> {
    let resolve = metadata.resolve.as_ref().context("cargo resolved no graph")?;
    let start = metadata
        .workspace_packages()
        .into_iter()
        .find(|member| member.name == package)
        .with_context(|| format!("no package {package} in the workspace"))?;

    let mut seen = BTreeSet::<&PackageId>::new();
    let mut open = vec![&start.id];
    while let Some(id) = open.pop() {
        for node in resolve.nodes.iter().filter(|node| node.id == *id) {
            for dep in &node.deps {
                let normal = dep.dep_kinds.iter().any(|info| info.kind == DependencyKind::Normal);
                if normal && seen.insert(&dep.pkg) {
                    open.push(&dep.pkg);
                }
            }
        }
    }
    Ok(seen.into_iter().map(|id| metadata[id].name.as_str()).collect())
}

const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MPL-2.0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

const CONTRACT: &str = "lockcore";
const STORE_CLIENTS: &[&str] = &["etcd-client", "redis", "tonic", "zookeeper-client"];

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(expression: &str) -> Option<String> {
        Allowed::parse(ALLOWED).unwrap().complaint(Some(expression))
    }

    #[test]
    fn one_allowed_alternative_is_enough() {
        for fine in [
            "MIT",
            "MIT OR Apache-2.0",
            "MIT/Apache-2.0",
            "GPL-3.0-only OR MIT",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT",
        ] {
            assert_eq!(complaint(fine), None, "{fine}");
        }
    }

    #[test]
    fn every_required_licence_must_be_allowed() {
        for foul in [
            "GPL-3.0-only",
            "MIT AND GPL-3.0-only",
            "AGPL-3.0-or-later",
            "MIT WITH Classpath-exception-2.0",
            "LicenseRef-ours",
        ] {
            let complaint = complaint(foul).unwrap();
            assert!(complaint.ends_with("is not allowed"), "{foul}: {complaint}");
        }
    }

    #[test]
    fn unreadable_and_absent_licences_are_refused() {
        assert!(complaint("do what you like").unwrap().contains("cannot be read"));
        let allowed = Allowed::parse(ALLOWED).unwrap();
        assert_eq!(allowed.complaint(None).unwrap(), "has no licence expression");
    }

    #[test]
    fn contract_is_followed_through_the_graph() {
        let metadata = workspace::metadata().unwrap();
        let names = normal_dependencies(&metadata, CONTRACT).unwrap();
        assert!(names.contains("tokio") && names.contains("pin-project-lite"), "{names:?}");
        assert!(!names.contains("proptest"), "dev-dependencies are not linked: {names:?}");
    }
}

//! The packages of Debian and its children.

use std::path::Path;

use anyhow::{Result, ensure};

use crate::sh::Sh;

/// Installs all of `packages`, if there are any.
pub(super) fn install(packages: &[&str]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    ensure!(
        Sh::new("apt-get", ["--version"]).succeeds(),
        "there is no apt-get, and this knows no other way to install packages"
    );
    let may = is_root() || Sh::new("sudo", ["-n", "true"]).succeeds();
    let line = format!("apt-get install -y --no-install-recommends {}", packages.join(" "));
    ensure!(may, "neither root nor `sudo` without a password: run `{line}` as root");

    // Lists that are old name packages that the mirrors no longer have.
    as_root(["apt-get", "update"]).run()?;
    let words = line.split(' ').map(str::to_owned);
    let quietly = ["env", "DEBIAN_FRONTEND=noninteractive", NO_SYSV_START].map(str::to_owned);
    as_root(quietly.into_iter().chain(words)).run()?;
    if Path::new(SYSTEMD).exists() {
        let started = SERVICES.iter().filter(|(package, _)| packages.contains(package));
        started.for_each(|(_, service)| stop_service(service));
    }
    Ok(())
}

/// Tests start servers of their own and want the program only. It was not there before, so nobody
/// can rely on the service that the package has just started.
fn stop_service(name: &str) {
    if !as_root(["systemctl", "disable", "--now", name]).succeeds() {
        println!("the service {name}, which nothing here needs, could not be stopped");
    }
}

fn as_root<W: Into<String>>(words: impl IntoIterator<Item = W>) -> Sh {
    let mut words = words.into_iter().map(Into::into);
    if is_root() {
        Sh::new(words.next().unwrap_or_default(), words)
    } else {
        Sh::new("sudo", ["-n"]).args(words)
    }
}

fn is_root() -> bool {
    // Without a word of what it runs: this is asked often.
    Sh::new("sh", ["-c", "test \"$(id -u)\" = 0"]).succeeds()
}

/// The packages whose maintainers start a service when they are installed.
const SERVICES: &[(&str, &str)] = &[("redis-server", "redis-server"), ("etcd-server", "etcd")];
/// In runlevel 1 the init scripts of packages start nothing. A system with systemd does not care,
/// hence [`stop_service`].
const NO_SYSV_START: &str = "RUNLEVEL=1";
const SYSTEMD: &str = "/run/systemd/system";

//! The compiler of protocol files.

use std::path::Path;
use std::{env, fs};

use anyhow::Result;

use super::scratch::Scratch;
use crate::sh::Sh;

/// Whether the one that build scripts will find also finds what comes with it: some packages have
/// the program alone.
pub(super) fn compiles() -> bool {
    let name = format!("leasehold-protoc-{}", std::process::id());
    let scratch = Scratch::new(&env::temp_dir(), &name);
    scratch.is_ok_and(|scratch| {
        compile(&scratch.dir, PROBE, env::var_os("PROTOC"), env::var_os("PROTOC_INCLUDE"))
            .is_ok_and(Sh::succeeds)
    })
}

/// As prost-build does it.
fn compile<V: AsRef<Path>>(
    dir: &Path,
    text: &str,
    protoc: Option<V>,
    include: Option<V>,
) -> Result<Sh> {
    let source = dir.join("probe.proto");
    fs::write(&source, text)?;
    let protoc =
        protoc.map_or_else(|| "protoc".into(), |path| path.as_ref().to_string_lossy().into_owned());
    let includes = [Some(dir), include.as_ref().map(AsRef::as_ref)];
    let mut sh = Sh::new(&protoc, ["--descriptor_set_out"]).args([dir.join("probe.bin")]);
    for include in includes.into_iter().flatten() {
        sh = sh.args(["-I"]).args([include]);
    }
    Ok(sh.args([source]))
}

/// What the protocol files of etcd import.
const PROBE: &str = "syntax = \"proto3\";
import \"google/protobuf/descriptor.proto\";
import \"google/protobuf/struct.proto\";
message Probe {
  google.protobuf.Struct struct = 1;
  google.protobuf.FieldOptions options = 2;
}
";

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> Scratch {
        let name = format!("xtask-protoc-{name}-{}", std::process::id());
        Scratch::new(&env::temp_dir(), &name).unwrap()
    }

    #[test]
    fn the_named_protoc_counts() {
        let scratch = scratch("named");
        let succeeds =
            |protoc| compile(&scratch.dir, PROBE, Some(protoc), None).unwrap().succeeds();
        assert!(succeeds("true"));
        assert!(!succeeds("false"));
        assert!(!succeeds("/no/such/protoc"));
    }

    #[test]
    fn the_line_names_all_directories() {
        let scratch = scratch("line");
        let dir = scratch.dir.display();
        let line = compile(&scratch.dir, PROBE, Some("p"), Some("/inc")).unwrap().to_string();
        let expected =
            format!("p --descriptor_set_out {dir}/probe.bin -I {dir} -I /inc {dir}/probe.proto");
        assert_eq!(line, expected);
    }
}

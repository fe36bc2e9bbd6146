//! Says what the client of etcd needs to be built, and how to get it. Its own build script says less,
//! and after its dependencies are built; cargo decides which of the two comes first.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-env-changed=PROTOC");
    println!("cargo::rerun-if-env-changed=PROTOC_INCLUDE");
    println!("cargo::rerun-if-env-changed=PATH");
    let Some(dir) = env::var_os("OUT_DIR") else { return };
    if !compiles(Path::new(&dir)) {
        println!(
            "cargo::error=the etcd backend is built with protoc and its well-known types, and they \
             are not here: `apt-get install protobuf-compiler libprotobuf-dev`, or set PROTOC to \
             the program and PROTOC_INCLUDE to the folder that has `google/protobuf`"
        );
    }
}

/// Tries it as the build of the client will use it.
fn compiles(dir: &Path) -> bool {
    let proto = dir.join("probe.proto");
    if fs::write(&proto, PROBE).is_err() {
        // Somebody else will say what is wrong with the disk.
        return true;
    }
    let program = env::var_os("PROTOC").unwrap_or_else(|| OsString::from("protoc"));
    let mut command = Command::new(program);
    command.arg("-I").arg(dir);
    if let Some(include) = env::var_os("PROTOC_INCLUDE") {
        command.arg("-I").arg(include);
    }
    command.arg("-o").arg(dir.join("probe.bin")).arg(&proto);
    command.output().is_ok_and(|output| output.status.success())
}

const PROBE: &str = "syntax = \"proto3\";
import \"google/protobuf/descriptor.proto\";
import \"google/protobuf/struct.proto\";
message Probe { google.protobuf.Struct value = 1; }
";

//! Build, run and check the whole of Tetherline: `cargo xtask help` lists what there is.

mod codegen;
mod workspace;

use std::process::ExitCode;

fn main() -> ExitCode {
    codegen::run(&workspace::root(), codegen::Mode::Write).unwrap();
    ExitCode::SUCCESS
}

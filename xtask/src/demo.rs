//! `cargo xtask demo`: build, then hand over to `gatehouse demo`.

use crate::shell;

/// Arguments of `demo`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Build profile: `dev` shares its build with the tests, `release` is what you would run.
    #[arg(long, default_value = "dev")]
    profile: String,
    /// Everything else goes to `gatehouse demo`: `--script` makes calls of every kind and exits.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

/// Builds and runs the demo; its exit status becomes ours.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let profile = arguments.profile.as_str();
    shell::say("building Gatehouse: minutes the first time, seconds after that");
    shell::run(&mut shell::cargo(&["build", "--profile", profile, "--package", "gatehouse"]))?;
    let mut command = shell::cargo(&["run", "--quiet", "--profile", profile]);
    command.args(["--package", "gatehouse", "--", "demo"]).args(&arguments.rest);
    shell::run(&mut command)
}

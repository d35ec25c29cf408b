//! `leafwall explain CODE`

use leafwall_intent::codes;

use crate::Outcome;

/// Explains a code of a diagnostic: why it is wrong, an example of it, and how it is right.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  leafwall explain LW0201")]
pub struct Args {
    /// The code, as it stands in brackets behind `error`; without one, all codes are listed.
    code: Option<String>,
}

/// Prints the page.
pub fn run(args: &Args) -> Outcome {
    let Some(code) = &args.code else {
        for code in codes::all() {
            println!("{code}  {}", code.entry().title);
        }
        return Outcome::Fine;
    };
    match codes::explain(code) {
        Some(page) => {
            println!("{}", page.trim_end());
            Outcome::Fine
        }
        None => Outcome::CouldNot(format!("`{code}` is no code of a diagnostic; `leafwall explain` lists them all")),
    }
}

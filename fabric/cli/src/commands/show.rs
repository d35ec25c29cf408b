//! `leafwall show GENERATION -o DIR`

use std::path::{Path, PathBuf};

use leafwall_api::v1::{FilePiece, ShowRequest};

use crate::client::{self, Client, Connection};
use crate::{Outcome, output, table};

/// Writes the intents of a revision, as they were applied.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  leafwall show 41 -o before\n  diff -u before containerlab/fra1\n  leafwall apply before --reason 'back to 41'"
)]
pub struct Args {
    #[command(flatten)]
    connection: Connection,
    /// Which revision: the number that `leafwall history` lists
    generation: u64,
    /// Also write allocation.yaml, the numbers and addresses of that revision: `leafwall render` of the directory then gives what each machine was given
    #[arg(long)]
    allocation: bool,
    /// Where to write: a directory that is new or empty
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
}

/// Asks, and writes once everything is there.
pub fn run(args: &Args) -> Outcome {
    client::run(async {
        let files = fetch(&mut args.connection.open().await?, args.generation, args.allocation).await?;
        write(&args.output, &files).map_err(Outcome::CouldNot)?;
        eprintln!("generation {}: {} files in `{}`", args.generation, files.0.len(), args.output.display());
        Ok(Outcome::Fine)
    })
}

/// The files of a revision.
pub async fn fetch(client: &mut Client, generation: u64, allocation: bool) -> Result<Files, Outcome> {
    let mut stream = client.show(ShowRequest { generation, allocation }).await.map_err(|status| client::refused(&status))?.into_inner();
    let mut files = Files::default();
    while let Some(piece) = stream.message().await.map_err(|status| client::refused(&status))? {
        files.push(piece).map_err(Outcome::CouldNot)?;
    }
    Ok(files)
}

/// Files, put together of their pieces.
#[derive(Default)]
pub struct Files(pub Vec<(String, Vec<u8>)>);

impl Files {
    fn push(&mut self, piece: FilePiece) -> Result<(), String> {
        let FilePiece { path, bytes } = piece;
        if let Some((_, file)) = self.0.last_mut().filter(|(last, _)| *last == path) {
            file.extend(bytes);
            return Ok(());
        }
        // whoever the controller is, it writes nothing outside of the directory
        let plain = Path::new(&path).file_name().is_some_and(|name| name == path.as_str()) && !path.chars().any(char::is_control);
        if !plain || self.0.iter().any(|(other, _)| *other == path) {
            return Err(format!("the controller sent a file that can't be one of a fabric: `{}`", table::clean(&path)));
        }
        self.0.push((path, bytes));
        Ok(())
    }
}

fn write(directory: &Path, files: &Files) -> Result<(), String> {
    output::make(directory)?;
    let told = |path: &Path, error: &std::io::Error| format!("cannot write `{}`: {error}", path.display());
    if std::fs::read_dir(directory).map_err(|error| told(directory, &error))?.next().is_some() {
        return Err(format!("`{}` is not empty, so nothing is written there", directory.display()));
    }
    files.0.iter().try_for_each(|(name, bytes)| {
        let path = directory.join(name);
        std::fs::write(&path, bytes).map_err(|error| told(&path, &error))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_put_together_and_stay_in_their_directory() {
        let piece = |path: &str, bytes: &[u8]| FilePiece { path: path.into(), bytes: bytes.to_vec() };
        let mut files = Files::default();
        for (path, bytes) in [("a.yaml", "a"), ("a.yaml", "b"), ("b.yaml", "")] {
            files.push(piece(path, bytes.as_bytes())).unwrap();
        }
        assert_eq!(files.0, [("a.yaml".to_owned(), b"ab".to_vec()), ("b.yaml".to_owned(), vec![])]);
        for path in ["../a.yaml", "/etc/passwd", "", "..", ".", "c/d.yaml", "c.yaml/", "c\n.yaml", "a.yaml"] {
            assert!(files.push(piece(path, b"")).is_err(), "{path:?}");
        }
    }
}

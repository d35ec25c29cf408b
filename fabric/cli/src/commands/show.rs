//! `leafwall show GENERATION -o DIR`

use std::path::{Path, PathBuf};

use leafwall_api::v1::{FilePiece, ShowRequest};
use leafwall_topology::Name;

use crate::client::{self, Client, Connection};
use crate::{Outcome, output, table};

/// Writes the intents of a revision, as they were applied, or what is to be configured on the servers that it allocates.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  leafwall show 41 -o before\n  diff -u before containerlab/fra1\n  leafwall apply before --reason 'back to 41'\n\n  leafwall show 42 --servers -o servers\n  ls servers/srv-05\n  frr.conf  links.json"
)]
pub struct Args {
    #[command(flatten)]
    connection: Connection,
    /// Which revision: the number that `leafwall history` lists
    generation: u64,
    /// Also write allocation.yaml, the numbers and addresses of that revision: `leafwall render` of the directory then gives what each machine was given
    #[arg(long)]
    allocation: bool,
    /// Instead, write SERVER/links.json and, for a routed server, SERVER/frr.conf: what its owner configures on it, with the addresses and the ASN that it was
    /// given. Tenants get those of their own servers
    #[arg(long, conflicts_with = "allocation")]
    servers: bool,
    /// Where to write: a directory that is new or empty
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
}

/// Asks, and writes once everything is there.
pub fn run(args: &Args) -> Outcome {
    client::run(async {
        let Args { generation, allocation, servers, .. } = *args;
        let files = fetch(&mut args.connection.open().await?, ShowRequest { generation, allocation, servers }).await?;
        write(&args.output, &files).map_err(Outcome::CouldNot)?;
        eprintln!("generation {generation}: {} files in `{}`", files.0.len(), args.output.display());
        Ok(Outcome::Fine)
    })
}

/// Asks for the intents of a revision alone.
pub const fn intents(generation: u64) -> ShowRequest {
    ShowRequest { generation, allocation: false, servers: false }
}

/// The files of a revision.
pub async fn fetch(client: &mut Client, request: ShowRequest) -> Result<Files, Outcome> {
    let mut stream = client.show(request).await.map_err(|status| client::refused(&status))?.into_inner();
    let mut files = Files::default();
    while let Some(piece) = stream.message().await.map_err(|status| client::refused(&status))? {
        files.push(piece, request.servers).map_err(Outcome::CouldNot)?;
    }
    Ok(files)
}

/// Files, put together of their pieces.
#[derive(Default)]
pub struct Files(pub Vec<(String, Vec<u8>)>);

impl Files {
    /// Files lie in directories of the devices' names where they are `of_devices`, else in no directory.
    fn push(&mut self, piece: FilePiece, of_devices: bool) -> Result<(), String> {
        let FilePiece { path, bytes } = piece;
        if let Some((_, file)) = self.0.last_mut().filter(|(last, _)| *last == path) {
            file.extend(bytes);
            return Ok(());
        }
        // whoever the controller is, it writes nothing outside of the directory
        let plain = |name: &str| Path::new(name).file_name().is_some_and(|last| last == name) && !name.chars().any(char::is_control);
        let inside = match path.split_once('/') {
            Some((device, file)) if of_devices => device.parse::<Name>().is_ok() && plain(file),
            _ => !of_devices && plain(&path),
        };
        if !inside || self.0.iter().any(|(other, _)| *other == path) {
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
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(|error| told(parent, &error))?;
        }
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
            files.push(piece(path, bytes.as_bytes()), false).unwrap();
        }
        assert_eq!(files.0, [("a.yaml".to_owned(), b"ab".to_vec()), ("b.yaml".to_owned(), vec![])]);
        for path in ["../a.yaml", "/etc/passwd", "", "..", ".", "c/d.yaml", "c.yaml/", "c\n.yaml", "a.yaml"] {
            assert!(files.push(piece(path, b""), false).is_err(), "{path:?}");
        }
        let mut files = Files::default();
        for path in ["srv-05/frr.conf", "srv-05/links.json", "srv-02/links.json"] {
            files.push(piece(path, b""), true).unwrap();
        }
        for path in
            ["../a", "srv-05/../a", "/srv-05/a", "srv-05/", "srv-05/.", "srv-05/b/a", "srv-05//a", "a.yaml", "srv-05/links.json", ".ssh/a"]
        {
            assert!(files.push(piece(path, b""), true).is_err(), "{path:?}");
        }
    }
}

//! The commands, on either runtime: `vm` passes them on to the same program inside the machine, which runs them as `netns`.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use leafwall_topology::Name;

use crate::args::{LabArgs, LabCommand, Runtime};
use crate::command;
use crate::control::{GUEST_WORK, Terminal, guest};
use crate::error::{LabError, Result};
use crate::host;
use crate::nodes::{self, NodeLab};
use crate::prober;
use crate::recipe::Recipe;
use crate::rootfs::RootFs;
use crate::scenario;
use crate::terminal::RawTerminal;
use crate::vm::{Vm, VmSize};

/// The directory with the artefacts in the machine's work directory.
const RENDERED: &str = "rendered";

/// Tells the program inside the machine what it runs on, for its reports.
pub(crate) const MACHINE_VARIABLE: &str = "LEAFWALL_LAB_MACHINE";

/// Where the nodes really run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Here,
    Machine,
}

/// Does what the command line says: exit status 0 fine, 1 problems found; an error is for status 2.
pub fn run(args: &LabArgs) -> Result<ExitCode> {
    let name = &args.name;
    match &args.command {
        LabCommand::Root => println!("{}", RootFs::ensure(&Recipe::built_in()?, &host::cache_dir())?.dir().display()),
        LabCommand::Guest => guest::run()?,
        LabCommand::Probe => prober::run()?,
        LabCommand::Boot => drop(boot(name)?),
        LabCommand::Run { argv } => {
            let words: Vec<&str> = argv.iter().map(String::as_str).collect();
            return status(Vm::find(name)?.client().run(&words, &BTreeMap::new(), Terminal::Pipes)?);
        }
        LabCommand::Up { dir, agents } => return up(name, args.runtime, dir, *agents),
        LabCommand::Test(test) => {
            let up = running(name, args.runtime).ok().filter(|place| is_up(name, *place));
            let place = up.unwrap_or_else(|| choose(name, args.runtime));
            return scenario::test(name, test, place, up.is_some());
        }
        LabCommand::Shell { node, argv } => {
            return match running(name, args.runtime)? {
                Place::Here => shell_here(&NodeLab::find(name)?, node, argv),
                Place::Machine => {
                    let terminal = RawTerminal::enter();
                    let mut words = vec!["shell", node.as_str(), "--"];
                    words.extend(argv.iter().map(String::as_str));
                    if argv.is_empty() {
                        words.pop();
                    }
                    pass_on(&Vm::find(name)?, name, &words, terminal.kind())
                }
            };
        }
        LabCommand::Status => {
            return match running(name, args.runtime)? {
                Place::Here => {
                    print_status(&NodeLab::find(name)?);
                    Ok(ExitCode::SUCCESS)
                }
                Place::Machine => {
                    let vm = Vm::find(name)?;
                    println!("machine on {}", vm.accelerator());
                    pass_on(&vm, name, &["status"], Terminal::Pipes)
                }
            };
        }
        LabCommand::Down => {
            if host::is_root() {
                NodeLab::down(name)?;
            }
            Vm::stop_leftover(name)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn boot(name: &Name) -> Result<Vm> {
    let vm = Vm::start(name, VmSize::default())?;
    eprintln!("leafwall: the machine of lab `{name}` is up on {}", vm.accelerator());
    Ok(vm)
}

fn up(name: &Name, runtime: Runtime, dir: &Path, agents: bool) -> Result<ExitCode> {
    let rendered = Rendered::of(name, dir)?;
    match choose(name, runtime) {
        Place::Here => NodeLab::up(name, rendered.dir(), agents).map(|_| ExitCode::SUCCESS),
        Place::Machine => {
            let vm = boot(name)?;
            nodes::copy_tree(rendered.dir(), &vm.work_dir().join(RENDERED))?;
            let inside = format!("{GUEST_WORK}/{RENDERED}");
            let mut words = vec!["up", inside.as_str()];
            if agents {
                words.push("--agents");
            }
            let ended = pass_on(&vm, name, &words, Terminal::Pipes)?;
            if ended != ExitCode::SUCCESS {
                vm.stop()?;
            }
            Ok(ended)
        }
    }
}

/// Which runtime a new lab gets.
fn choose(name: &Name, runtime: Runtime) -> Place {
    match runtime {
        Runtime::Netns => Place::Here,
        Runtime::Vm => Place::Machine,
        Runtime::Auto => match nodes::check_requirements(name) {
            Ok(()) => Place::Here,
            Err(error) => {
                tracing::debug!(%error, "namespaces of this kernel will not do");
                Place::Machine
            }
        },
    }
}

/// Which runtime the lab of that name is up on.
fn running(name: &Name, runtime: Runtime) -> Result<Place> {
    match runtime {
        Runtime::Netns => Ok(Place::Here),
        Runtime::Vm => Ok(Place::Machine),
        Runtime::Auto if NodeLab::find(name).is_ok() => Ok(Place::Here),
        Runtime::Auto => Vm::find(name).map(|_| Place::Machine),
    }
}

/// Whether there are nodes of that lab; a machine alone, as `boot` leaves it, has none.
fn is_up(name: &Name, place: Place) -> bool {
    match place {
        Place::Here => NodeLab::find(name).is_ok(),
        Place::Machine => Vm::find(name).is_ok_and(|vm| vm.work_dir().join(RENDERED).is_dir()),
    }
}

/// Runs `leafwall lab …` in the machine, as this build, and takes its exit status.
pub(crate) fn pass_on(vm: &Vm, name: &Name, words: &[&str], terminal: Terminal) -> Result<ExitCode> {
    let program = vm.program()?;
    let mut argv = vec![program.as_str(), "lab", "--name", name.as_str(), "--runtime", "netns"];
    argv.extend(words);
    let mut environment: BTreeMap<String, String> =
        ["LEAFWALL_LOG", "TERM"].into_iter().filter_map(|key| Some((key.to_owned(), std::env::var(key).ok()?))).collect();
    environment.insert(MACHINE_VARIABLE.to_owned(), vm.accelerator().to_string());
    status(vm.client().run(&argv, &environment, terminal)?)
}

fn status(status: i32) -> Result<ExitCode> {
    u8::try_from(status).map(ExitCode::from).map_err(|_| LabError::Protocol { what: format!("an exit status of {status}") })
}

fn shell_here(lab: &NodeLab, node: &Name, argv: &[String]) -> Result<ExitCode> {
    let (program, arguments) = argv.split_first().map_or(("bash", &[][..]), |(program, rest)| (program.as_str(), rest));
    let (namespace, mut command) = lab.command(node, program)?;
    command.args(arguments);
    if argv.is_empty() && io::stdin().is_terminal() {
        // The files of the machine's own root would set another prompt.
        command.args(["--norc", "--noprofile", "-i"]);
    }
    let mut child = namespace.spawn(&mut command)?;
    let ended = child.wait().map_err(LabError::system(format!("wait for `{program}`")))?;
    Ok(ended.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}

fn print_status(lab: &NodeLab) {
    let inventory = lab.inventory();
    println!("fabric {}", inventory.fabric);
    for device in &inventory.devices {
        let processes = lab.node(&device.name).map_or(0, |namespace| namespace.processes().len());
        println!("{:<16} {:<16} {processes} processes", device.name, format!("{:?}", device.kind));
    }
    for router in &inventory.outside {
        println!("{:<16} outside", router.name);
    }
}

/// A directory of artefacts: given, or rendered by this program and removed afterwards.
pub(crate) struct Rendered {
    dir: PathBuf,
    ours: bool,
}

impl Rendered {
    pub(crate) fn of(name: &Name, dir: &Path) -> Result<Self> {
        if dir.join(nodes::INVENTORY).exists() {
            return Ok(Self { dir: dir.to_owned(), ours: false });
        }
        let out = host::cache_dir().join(format!("rendered-{name}"));
        // A run that was killed could not remove its own.
        if out.exists() {
            fs::remove_dir_all(&out).map_err(LabError::file("remove", &out))?;
        }
        fs::create_dir_all(&out).map_err(LabError::file("make", &out))?;
        let rendered = Self { dir: out, ours: true };
        let program = std::env::current_exe().map_err(LabError::system("find this program"))?;
        command::run(Command::new(program).args(["render", "--servers-apart"]).arg(dir).arg("-o").arg(&rendered.dir))?;
        nodes::copy_files(dir, &rendered.dir.join(nodes::INTENTS))?;
        Ok(rendered)
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }
}

impl Drop for Rendered {
    fn drop(&mut self) {
        if self.ours {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

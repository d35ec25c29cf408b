//! Hardware that SONiC runs on: which ports a switch has, on which lanes, what they can be split into, and what it can carry.
//!
//! Data, not code: a switch that is not in [`HARDWARE`] is added there. Lanes and numbers are those of the switch's own port file, which SONiC's image ships.

use crate::interface::IfName;
use crate::names::sonic;
use crate::platform::Budgets;

/// A kind of switch.
#[derive(Debug, PartialEq, Eq)]
pub struct Hardware {
    /// SONiC's name of it: `hwsku` in DEVICE_METADATA.
    pub sku: &'static str,
    /// SONiC's name of the platform, a directory in its image.
    pub platform: &'static str,
    /// Its cages, in the order of their ports.
    pub cages: &'static [Cages],
    /// What it can carry.
    pub budgets: Budgets,
}

/// Cages of one kind side by side. Their ports are numbered by lanes: a cage of four takes four numbers.
#[derive(Debug, PartialEq, Eq)]
pub struct Cages {
    /// The number of the first one's port: `Ethernet0`.
    pub first_port: u16,
    /// What is printed at the first one.
    pub first_label: u16,
    /// How many lanes each has.
    pub lanes: u16,
    /// The first lane of each, in order. Where a board crosses its traces they don't follow each other.
    pub first_lanes: &'static [u16],
    /// What a cage can be: ports and Mbit/s of each. The first is what it is if nobody says otherwise.
    pub modes: &'static [Mode],
}

/// What a cage can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode {
    /// How many ports.
    pub ports: u16,
    /// Mbit/s of each.
    pub speed: u32,
}

/// One port of a switch, after its cage was split or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its name: `Ethernet50`.
    pub name: IfName,
    /// What is printed at its cage, and which part of it this is, from 1; `None` where it is the whole.
    pub label: (u16, Option<u16>),
    /// Its lanes.
    pub lanes: Vec<u16>,
    /// Mbit/s.
    pub speed: u32,
    /// What a port here can run at, Mbit/s.
    pub speeds: Vec<u32>,
}

impl Port {
    /// Its name on the front panel: `Eth13`, or `Eth13/2` where the cage is split.
    pub fn front_panel(&self) -> String {
        match self.label {
            (cage, None) => format!("Eth{cage}"),
            (cage, Some(part)) => format!("Eth{cage}/{part}"),
        }
    }
}

const fn mode(ports: u16, speed: u32) -> Mode {
    Mode { ports, speed }
}

const QSFP28: &[Mode] = &[mode(1, 100_000), mode(1, 40_000), mode(2, 50_000), mode(4, 25_000), mode(4, 10_000)];
const QSFP56_DD: &[Mode] =
    &[mode(1, 400_000), mode(1, 200_000), mode(1, 100_000), mode(1, 40_000), mode(2, 200_000), mode(4, 100_000), mode(8, 50_000)];
const SFP_PLUS: &[Mode] = &[mode(1, 10_000)];

/// vrfmgrd has as many tables for VRFs (1001 to 5096), and each takes a VLAN for its L3VNI; 802.1Q has 4094 ids, of which SONiC refuses 1.
const SOFTWARE: Budgets = Budgets { vrfs: 1000, vlans: 4000 };

/// All hardware that is known.
pub const HARDWARE: &[Hardware] = &[
    Hardware {
        sku: "Accton-AS7726-32X",
        platform: "x86_64-accton_as7726_32x-r0",
        // two SFP+ cages beside them share a lane with the last one of these in the vendor's own file, and are left out
        cages: &[Cages {
            first_port: 0,
            first_label: 1,
            lanes: 4,
            first_lanes: &[
                1, 5, 9, 13, 17, 21, 25, 29, 33, 37, 41, 45, 49, 53, 57, 61, 65, 69, 73, 77, 81, 85, 89, 93, 97, 101, 105, 109, 113, 117,
                121, 125,
            ],
            modes: QSFP28,
        }],
        budgets: SOFTWARE,
    },
    Hardware {
        sku: "Accton-AS9716-32D",
        platform: "x86_64-accton_as9716_32d-r0",
        cages: &[
            Cages {
                first_port: 0,
                first_label: 1,
                lanes: 8,
                first_lanes: &[
                    73, 65, 81, 89, 97, 105, 113, 121, 41, 33, 49, 57, 129, 137, 145, 153, 169, 161, 177, 185, 1, 9, 17, 25, 201, 193, 217,
                    209, 233, 225, 249, 241,
                ],
                modes: QSFP56_DD,
            },
            Cages { first_port: 256, first_label: 33, lanes: 1, first_lanes: &[257, 258], modes: SFP_PLUS },
        ],
        budgets: SOFTWARE,
    },
];

/// A cage cannot be split like that.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// No cage begins with this port.
    #[error("no cage begins with `{0}`")]
    NoCage(IfName),
    /// The cage is there, and can't be that.
    #[error("`{port}` can't be {ports}x{}G", speed / 1000)]
    Mode {
        /// The cage's first port.
        port: IfName,
        /// Into how many ports.
        ports: u16,
        /// Mbit/s of each.
        speed: u32,
    },
}

impl Hardware {
    /// The hardware of this name.
    pub fn find(sku: &str) -> Option<&'static Self> {
        HARDWARE.iter().find(|hardware| hardware.sku == sku)
    }

    /// All its cages: the first port's number, the label, the first lane, and what they are of.
    fn each_cage(&self) -> impl Iterator<Item = (u16, u16, u16, &Cages)> {
        self.cages.iter().flat_map(|cages| {
            (0u16..)
                .zip(cages.first_lanes)
                .map(move |(index, lane)| (cages.first_port + index * cages.lanes, cages.first_label + index, *lane, cages))
        })
    }

    /// Whether a cage begins with this port, and can be split so.
    ///
    /// # Errors
    /// [`SplitError`] says which of both is not so.
    pub fn can_split(&self, port: &IfName, mode: Mode) -> Result<(), SplitError> {
        let number = sonic::port_number(port.as_str());
        let cage = self.each_cage().find(|(first, ..)| Some(*first) == number);
        let (_, _, _, cages) = cage.ok_or_else(|| SplitError::NoCage(port.clone()))?;
        if cages.modes.contains(&mode) {
            Ok(())
        } else {
            Err(SplitError::Mode { port: port.clone(), ports: mode.ports, speed: mode.speed })
        }
    }

    /// All its ports, where `split` says what a cage is that begins with a port; in the order of their numbers. What a cage can't be is not done.
    pub fn ports(&self, split: impl Fn(&IfName) -> Option<Mode>) -> Vec<Port> {
        let mut ports = Vec::new();
        for (first, label, first_lane, cages) in self.each_cage() {
            let Some(usual) = cages.modes.first() else { continue };
            let wanted = split(&sonic::port(first)).filter(|mode| cages.modes.contains(mode));
            let mode = wanted.unwrap_or(*usual);
            let lanes = cages.lanes / mode.ports;
            for part in 0..mode.ports {
                let lane = first_lane + part * lanes;
                ports.push(Port {
                    name: sonic::port(first + part * lanes),
                    label: (label, (mode.ports > 1).then_some(part + 1)),
                    lanes: (lane..lane + lanes).collect(),
                    speed: mode.speed,
                    speeds: cages.modes.iter().filter(|other| other.ports == mode.ports).map(|other| other.speed).collect(),
                });
            }
        }
        ports
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_lane_and_no_number_is_used_twice_however_cages_are_split() {
        for hardware in HARDWARE {
            assert_eq!(Hardware::find(hardware.sku), Some(hardware));
            for index in 0..hardware.cages.iter().map(|cages| cages.modes.len()).max().unwrap() {
                let ports = hardware.ports(|port| {
                    let number = sonic::port_number(port.as_str());
                    let cages = hardware.each_cage().find(|(first, ..)| Some(*first) == number)?.3;
                    cages.modes.get(index % cages.modes.len()).copied()
                });
                let lanes: Vec<u16> = ports.iter().flat_map(|port| port.lanes.iter().copied()).collect();
                assert_eq!(lanes.iter().collect::<BTreeSet<_>>().len(), lanes.len(), "{}", hardware.sku);
                assert_eq!(ports.iter().map(|port| &port.name).collect::<BTreeSet<_>>().len(), ports.len(), "{}", hardware.sku);
                assert_eq!(ports.iter().map(Port::front_panel).collect::<BTreeSet<_>>().len(), ports.len(), "{}", hardware.sku);
            }
            for cages in hardware.cages {
                assert!(cages.modes.iter().all(|mode| mode.ports > 0 && cages.lanes % mode.ports == 0), "{}", hardware.sku);
            }
        }
    }

    #[test]
    fn a_cage_is_split_where_it_can_be() {
        let hardware = Hardware::find("Accton-AS9716-32D").unwrap();
        let cage: IfName = "Ethernet8".parse().unwrap();
        let four = Mode { ports: 4, speed: 100_000 };
        assert_eq!(hardware.can_split(&cage, four), Ok(()));
        assert_eq!(hardware.can_split(&"Ethernet9".parse().unwrap(), four), Err(SplitError::NoCage("Ethernet9".parse().unwrap())));
        let error = hardware.can_split(&cage, Mode { ports: 4, speed: 25_000 }).unwrap_err();
        assert_eq!(error.to_string(), "`Ethernet8` can't be 4x25G");
        let ports = hardware.ports(|port| (*port == cage).then_some(four));
        let part = ports.iter().find(|port| port.name.as_str() == "Ethernet10").unwrap();
        assert_eq!((part.lanes.as_slice(), part.speed, part.front_panel().as_str()), (&[67, 68][..], 100_000, "Eth2/2"));
        assert!(ports.iter().all(|port| port.name.as_str() != "Ethernet9"));
        assert_eq!(ports.iter().find(|port| port.name.as_str() == "Ethernet257").unwrap().front_panel(), "Eth34");
    }
}

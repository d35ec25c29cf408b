//! A picture of a fabric: spines above, leaves and exits below them, and under each leaf or pair of leaves what is cabled to it, one row a machine, with the
//! port's name at each cable. Plain SVG, readable in black and white, no scripts.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::graph::{Cable, PortRef};
use crate::name::Name;

/// What is drawn.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Drawing {
    /// Stands above.
    pub title: String,
    /// Spines, left to right.
    pub spines: Vec<Box>,
    /// Leaves and exits, left to right.
    pub leaves: Vec<Box>,
    /// Machines, firewalls, outside routers.
    pub ends: Vec<Box>,
    /// Cables between any of them.
    pub cables: Vec<Cable>,
}

/// A device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Box {
    /// Its name.
    pub name: Name,
    /// A second line: numbers, addresses.
    pub caption: String,
    /// What colours it: a tenant's name, `exit`, `outside`. Explained in the legend.
    pub group: Option<String>,
}

const SWITCH_WIDTH: i32 = 150;
const SWITCH_HEIGHT: i32 = 46;
const END_WIDTH: i32 = 168;
const END_HEIGHT: i32 = 36;
const ROW: i32 = 46;
/// From a rail to the box beside it: room for a port's name.
const REACH: i32 = 62;
const GAP: i32 = 40;
const TOP: i32 = 84;
const TIER: i32 = 150;
/// Colours that can be told apart by colour-blind readers (after Okabe and Ito), light enough for black text.
const COLOURS: [&str; 7] = ["#bcdcf2", "#f9dfb1", "#bfe5d8", "#f3d0e2", "#fbf3b0", "#d9d4ee", "#e3e3e3"];

/// Leaves that share machines, and those machines.
struct Group<'a> {
    leaves: Vec<&'a Box>,
    ends: Vec<&'a Box>,
    left: i32,
    width: i32,
}

/// Where the rails of a group's leaves and its boxes stand.
impl Group<'_> {
    fn rail(&self, index: usize) -> i32 {
        let index = i32::try_from(index).unwrap_or(0);
        match self.leaves.len() {
            2 => self.left + SWITCH_WIDTH / 2 + index * (END_WIDTH + 2 * REACH),
            _ => self.left + SWITCH_WIDTH / 2 + index * (SWITCH_WIDTH + GAP),
        }
    }

    fn end_left(&self) -> i32 {
        match self.leaves.len() {
            2 => self.rail(0) + REACH,
            count => self.rail(count.saturating_sub(1)) + REACH,
        }
    }

    fn measure(leaves: usize, ends: usize) -> i32 {
        let last_rail = match leaves {
            2 => END_WIDTH + 2 * REACH,
            count => i32::try_from(count.saturating_sub(1)).unwrap_or(0) * (SWITCH_WIDTH + GAP),
        };
        let switches = SWITCH_WIDTH + last_rail;
        let boxes = if leaves == 2 || ends == 0 { 0 } else { SWITCH_WIDTH / 2 + last_rail + REACH + END_WIDTH };
        switches.max(boxes)
    }
}

impl Drawing {
    /// The picture as SVG text.
    pub fn to_svg(&self) -> String {
        let groups = self.groups();
        let spines = i32::try_from(self.spines.len()).unwrap_or(0);
        let spine_width = spines * SWITCH_WIDTH + (spines - 1).max(0) * GAP;
        let right = groups.last().map_or(GAP, |group| group.left + group.width);
        let colours = self.colours();
        let legend = GAP + i32::try_from(colours.len()).unwrap_or(0) * 150;
        let width = right.max(spine_width + GAP).max(legend) + GAP;
        let rows = groups.iter().map(|group| group.ends.len()).max().unwrap_or(0);
        let leaf_top = TOP + TIER;
        let end_top = leaf_top + SWITCH_HEIGHT + 34;
        let height = end_top + i32::try_from(rows).unwrap_or(0) * ROW + 30;

        let mut out = String::new();
        let _ = write!(
            out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
             font-family=\"DejaVu Sans, Verdana, sans-serif\" font-size=\"12\">\n\
             <rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n\
             <text x=\"{GAP}\" y=\"32\" font-size=\"18\" font-weight=\"bold\">{}</text>\n",
            escape(&self.title)
        );
        for (index, (group, colour)) in colours.iter().enumerate() {
            let x = GAP + i32::try_from(index).unwrap_or(0) * 150;
            let _ = write!(
                out,
                "<rect x=\"{x}\" y=\"46\" width=\"14\" height=\"14\" fill=\"{colour}\" stroke=\"#555\"/><text x=\"{}\" y=\"58\">{}</text>\n",
                x + 20,
                escape(group)
            );
        }

        let mut centre = BTreeMap::new();
        let start = (width - spine_width) / 2;
        for (index, spine) in self.spines.iter().enumerate() {
            centre.insert(&spine.name, start + i32::try_from(index).unwrap_or(0) * (SWITCH_WIDTH + GAP) + SWITCH_WIDTH / 2);
        }
        for group in &groups {
            for (index, leaf) in group.leaves.iter().enumerate() {
                centre.insert(&leaf.name, group.rail(index));
            }
        }
        self.draw_fabric_cables(&mut out, &centre, leaf_top);
        for spine in &self.spines {
            draw_box(&mut out, spine, centre[&spine.name] - SWITCH_WIDTH / 2, TOP, (SWITCH_WIDTH, SWITCH_HEIGHT), &colours);
        }
        for group in &groups {
            self.draw_group(&mut out, group, leaf_top, end_top, &colours);
        }
        out.push_str("</svg>\n");
        out
    }

    fn colours(&self) -> BTreeMap<&str, &'static str> {
        let names: BTreeSet<&str> =
            self.spines.iter().chain(&self.leaves).chain(&self.ends).filter_map(|drawn| drawn.group.as_deref()).collect();
        names.into_iter().zip(COLOURS.iter().copied().cycle()).collect()
    }

    /// Leaves that have a machine in common stand side by side; each machine stands with the leaves it is cabled to.
    fn groups(&self) -> Vec<Group<'_>> {
        let leaf_index: BTreeMap<&Name, usize> = self.leaves.iter().enumerate().map(|(index, leaf)| (&leaf.name, index)).collect();
        let mut leaves_of: BTreeMap<&Name, BTreeSet<usize>> = BTreeMap::new();
        for (end, leaf) in self.cables.iter().flat_map(|cable| [(&cable.a, &cable.b), (&cable.b, &cable.a)]) {
            if let Some(index) = leaf_index.get(&leaf.device)
                && !leaf_index.contains_key(&end.device)
            {
                leaves_of.entry(&end.device).or_default().insert(*index);
            }
        }
        // the smallest leaf of each set of leaves that hang together
        let mut root: Vec<usize> = (0..self.leaves.len()).collect();
        for end in &self.ends {
            if let Some(set) = leaves_of.get(&end.name) {
                let smallest = set.iter().filter_map(|index| root.get(*index)).min().copied().unwrap_or(0);
                let old: BTreeSet<usize> = set.iter().filter_map(|index| root.get(*index)).copied().collect();
                for entry in root.iter_mut().filter(|entry| old.contains(entry)) {
                    *entry = smallest;
                }
            }
        }
        let mut groups: BTreeMap<usize, Group<'_>> = BTreeMap::new();
        for (index, leaf) in self.leaves.iter().enumerate() {
            let group = groups.entry(root[index]).or_insert(Group { leaves: vec![], ends: vec![], left: 0, width: 0 });
            group.leaves.push(leaf);
        }
        for end in &self.ends {
            if let Some(group) = leaves_of.get(&end.name).and_then(|set| set.first()).and_then(|first| groups.get_mut(&root[*first])) {
                group.ends.push(end);
            }
        }
        let mut left = GAP;
        let mut groups: Vec<Group<'_>> = groups.into_values().collect();
        for group in &mut groups {
            group.left = left;
            group.width = Group::measure(group.leaves.len(), group.ends.len());
            left += group.width + GAP;
        }
        groups
    }

    fn draw_fabric_cables(&self, out: &mut String, centre: &BTreeMap<&Name, i32>, leaf_top: i32) {
        for cable in &self.cables {
            if let (Some(one), Some(other)) = (centre.get(&cable.a.device), centre.get(&cable.b.device)) {
                let spine_is_a = self.spines.iter().any(|spine| spine.name == cable.a.device);
                let (spine, leaf) = if spine_is_a { (one, other) } else { (other, one) };
                let _ = write!(
                    out,
                    "<line x1=\"{spine}\" y1=\"{}\" x2=\"{leaf}\" y2=\"{leaf_top}\" stroke=\"#777\"><title>{}</title></line>\n",
                    TOP + SWITCH_HEIGHT,
                    escape(&cable.to_string())
                );
            }
        }
    }

    fn draw_group(&self, out: &mut String, group: &Group<'_>, leaf_top: i32, end_top: i32, colours: &BTreeMap<&str, &'static str>) {
        let mut lowest = vec![leaf_top + SWITCH_HEIGHT; group.leaves.len()];
        let mut rungs = String::new();
        for (row, end) in group.ends.iter().enumerate() {
            let top = end_top + i32::try_from(row).unwrap_or(0) * ROW;
            let middle = top + END_HEIGHT / 2;
            let left = group.end_left();
            for (index, leaf) in group.leaves.iter().enumerate() {
                let mut ports: Vec<String> = self.ports_between(&leaf.name, &end.name).map(|port| port.port.to_string()).collect();
                if ports.is_empty() {
                    continue;
                }
                ports.sort();
                let rail = group.rail(index);
                lowest[index] = middle;
                let (edge, anchor, label) = if rail < left { (left, "start", rail + 6) } else { (left + END_WIDTH, "end", rail - 6) };
                let _ = write!(
                    rungs,
                    "<line x1=\"{rail}\" y1=\"{middle}\" x2=\"{edge}\" y2=\"{middle}\" stroke=\"#777\"/><circle cx=\"{rail}\" cy=\"{middle}\" r=\"3\"/>\
                     <text x=\"{label}\" y=\"{}\" font-size=\"10\" text-anchor=\"{anchor}\">{}</text>\n",
                    middle - 4,
                    escape(&ports.join(" "))
                );
            }
            draw_box(out, end, left, top, (END_WIDTH, END_HEIGHT), colours);
        }
        for (index, low) in lowest.iter().enumerate() {
            let rail = group.rail(index);
            let _ = write!(out, "<line x1=\"{rail}\" y1=\"{}\" x2=\"{rail}\" y2=\"{low}\" stroke=\"#777\"/>\n", leaf_top + SWITCH_HEIGHT);
        }
        out.push_str(&rungs);
        for (index, leaf) in group.leaves.iter().enumerate() {
            draw_box(out, leaf, group.rail(index) - SWITCH_WIDTH / 2, leaf_top, (SWITCH_WIDTH, SWITCH_HEIGHT), colours);
        }
    }

    /// The leaf's ports that are cabled to the machine.
    fn ports_between<'a>(&'a self, leaf: &'a Name, end: &'a Name) -> impl Iterator<Item = &'a PortRef> + 'a {
        self.cables.iter().filter_map(move |cable| {
            if cable.a.device == *leaf && cable.b.device == *end {
                Some(&cable.a)
            } else if cable.b.device == *leaf && cable.a.device == *end {
                Some(&cable.b)
            } else {
                None
            }
        })
    }
}

fn draw_box(out: &mut String, drawn: &Box, left: i32, top: i32, (width, height): (i32, i32), colours: &BTreeMap<&str, &'static str>) {
    let fill = drawn.group.as_deref().and_then(|group| colours.get(group)).copied().unwrap_or("white");
    let middle = left + width / 2;
    let _ = write!(
        out,
        "<rect x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{height}\" rx=\"4\" fill=\"{fill}\" stroke=\"#333\"/>\
         <text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\" font-weight=\"bold\">{}</text>\
         <text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\" font-size=\"10\">{}</text>\n",
        top + height / 2 - 3,
        escape(drawn.name.as_str()),
        top + height / 2 + 11,
        escape(&drawn.caption)
    );
}

/// Text as it stands in SVG and HTML, in attributes too.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(name: &str, group: Option<&str>) -> Box {
        Box { name: name.parse().unwrap(), caption: "AS 1 & more".to_owned(), group: group.map(str::to_owned) }
    }

    fn cable(text: &str) -> Cable {
        let port = |text: &str| {
            let (device, port) = text.split_once(':').unwrap();
            PortRef { device: device.parse().unwrap(), port: port.parse().unwrap() }
        };
        let (one, other) = text.split_once(' ').unwrap();
        Cable::new(port(one), port(other))
    }

    #[test]
    fn every_device_and_port_is_there_and_text_is_escaped() {
        let drawing = Drawing {
            title: "a <fabric>".to_owned(),
            spines: vec![drawn("spine-01", None)],
            leaves: vec![drawn("leaf-01", None), drawn("leaf-02", None), drawn("exit-01", Some("exit"))],
            ends: vec![drawn("srv-01", Some("acme")), drawn("srv-02", None)],
            cables: ["leaf-01:swp31 spine-01:swp1", "srv-01:lan0 leaf-01:swp1", "srv-01:lan1 leaf-02:swp7", "srv-02:lan0 leaf-02:swp2"]
                .map(cable)
                .to_vec(),
        };
        let svg = drawing.to_svg();
        for text in ["spine-01", "exit-01", "srv-02", ">swp7<", "a &lt;fabric&gt;", "AS 1 &amp; more", ">acme<"] {
            assert!(svg.contains(text), "{text} is missing");
        }
        assert_eq!(drawing.groups().len(), 2);
    }

    #[test]
    fn an_empty_fabric_is_a_picture_too() {
        assert!(Drawing::default().to_svg().ends_with("</svg>\n"));
    }
}

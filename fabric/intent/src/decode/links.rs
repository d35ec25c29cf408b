//! Cables, with ranges of ports.

use leafwall_topology::PortRef;

use super::scalars::{port_ref, shown};
use super::{Decode, Reader};
use crate::codes;
use crate::raw::{LinkIntent, LinksIntent};
use crate::shape::{How, Shape};
use crate::source::Spanned;
use crate::tree::Node;

/// How many cables a document may have: a thousand leaves with sixteen spines have 16,000.
pub(super) const CABLES_MAX: usize = 100_000;
/// How many ports a range may have: more than any switch.
const RANGE_MAX: u32 = 1024;

impl Decode for LinksIntent {
    fn decode(node: &Node<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let [a, b] = reader.list(node)? else {
            reader.error(codes::BAD_LINK, node.place, "a link has exactly two ends, such as `[\"leaf-01:swp31\", \"spine-01:swp1\"]`");
            return None;
        };
        let (a_ports, b_ports) = (end(a, reader), end(b, reader));
        let (a_ports, b_ports) = (a_ports?, b_ports?);
        if a_ports.len() != b_ports.len() {
            let message = format!("one end has {} and the other {} ports", a_ports.len(), b_ports.len());
            reader.error(codes::BAD_LINK, node.place, message);
            return None;
        }
        if !reader.takes(a_ports.len()) {
            reader.error(codes::FILE_TOO_LARGE, node.place, format!("the document has more than {CABLES_MAX} cables"));
            return None;
        }
        let link = |(one, other)| LinkIntent { a: Spanned::new(one, a.place), b: Spanned::new(other, b.place) };
        Some(Self { cables: a_ports.into_iter().zip(b_ports).map(link).collect() })
    }

    fn shape() -> Shape {
        let end = Shape::Text { name: "device:port", pattern: r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?:[A-Za-z][][A-Za-z0-9._-]*$" };
        Shape::List(Box::new(end), How::Pair)
    }
}

/// One end: `leaf-01:swp31`, or `leaf-01:swp[31-32]` for several.
fn end(node: &Node<'_>, reader: &mut Reader<'_>) -> Option<Vec<PortRef>> {
    let text = reader.text(node)?;
    let Some((before, rest)) = text.split_once('[') else { return port_ref(text, node.place, reader).map(|port| vec![port]) };
    let range = rest.split_once(']').and_then(|(range, after)| {
        let (low, high) = range.split_once('-')?;
        let number = |text: &str| if text.len() <= 6 && text.bytes().all(|b| b.is_ascii_digit()) { text.parse::<u32>().ok() } else { None };
        Some((number(low)?, number(high)?, after)).filter(|(low, high, _)| low <= high && high - low < RANGE_MAX)
    });
    let Some((low, high, after)) = range else {
        let message = format!("`{}` is not a range of ports such as `leaf-01:swp[31-32]`, of {RANGE_MAX} ports at most", shown(text));
        reader.error(codes::BAD_LINK, node.place, message);
        return None;
    };
    // the first bad name says it for all
    (low..=high).map(|number| port_ref(&format!("{before}{number}{after}"), node.place, reader)).collect()
}

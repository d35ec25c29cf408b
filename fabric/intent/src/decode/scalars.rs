//! Values of one word: names, numbers, addresses.

use std::fmt::Display;
use std::net::IpAddr;
use std::str::FromStr;

use leafwall_policy::rule::Fqdn;
use leafwall_topology::{
    Asn, HostAddress, IdError, IfName, MacAddr, Mtu, Name, PortRef, Prefix, PrefixError, Range, RangeError, VlanId, Vni,
};

use super::{Decode, Reader};
use crate::codes::{self, Code};
use crate::diagnostic::Diagnostic;
use crate::raw::{Breakout, Text, Timestamp};
use crate::shape::Shape;
use crate::source::Place;
use crate::tree::Node;

/// What stands in a message of what a user wrote: not more than a line.
pub(super) fn shown(text: &str) -> String {
    const LONGEST: usize = 60;
    if text.chars().count() <= LONGEST { text.to_owned() } else { text.chars().take(LONGEST).chain("…".chars()).collect() }
}

fn parsed<T: FromStr>(node: &Node<'_>, reader: &mut Reader<'_>, code: Code) -> Option<T>
where
    T::Err: Display,
{
    let text = reader.text(node)?;
    text.parse().map_err(|error: T::Err| reader.error(code, node.place, one_line(&error.to_string()))).ok()
}

fn one_line(message: &str) -> String {
    const LONGEST: usize = 200;
    message.chars().take(LONGEST).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

macro_rules! texts {
    ($($ty:ty: $code:ident, $name:literal, $pattern:literal;)+) => {
        $(impl Decode for $ty {
            fn decode(node: &Node<'_>, reader: &mut Reader<'_>) -> Option<Self> {
                parsed(node, reader, codes::$code)
            }

            fn shape() -> Shape {
                Shape::Text { name: $name, pattern: $pattern }
            }
        })+
    };
}

texts! {
    Name: BAD_NAME, "name", r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$";
    IfName: BAD_INTERFACE, "interface", r"^[A-Za-z][A-Za-z0-9._-]{0,14}$";
    MacAddr: BAD_MAC, "MAC address", r"^[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}$";
    Fqdn: BAD_FQDN, "DNS name", r"^(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)+\.?$";
    Text: BAD_TEXT, "text", r"^[A-Za-z0-9._/:+@ -]{1,100}$";
    Timestamp: BAD_TIME, "time", r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$";
    Breakout: BAD_PLATFORM_VALUE, "breakout", r"^[1248]x[1-9][0-9]{0,2}G$";
}

const ADDRESS_PATTERN: &str = r"^[0-9A-Fa-f:.]+$";
const PREFIX_PATTERN: &str = r"^[0-9A-Fa-f:.]+/[0-9]{1,3}$";

impl Decode for IpAddr {
    fn decode(node: &Node<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let text = reader.text(node)?;
        let address = text.parse().ok();
        if address.is_none() {
            let error = Diagnostic::error(codes::BAD_ADDRESS, node.place, format!("`{}` is not an IP address", shown(text)));
            let bare = text.split_once('/').map(|(address, _)| address).filter(|address| address.parse::<Self>().is_ok());
            reader.push(match bare {
                Some(bare) => error.hint(format!("write `{bare}`, without a length")),
                None => error,
            });
        }
        address
    }

    fn shape() -> Shape {
        Shape::Text { name: "address", pattern: ADDRESS_PATTERN }
    }
}

impl Decode for HostAddress {
    fn decode(node: &Node<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let text = reader.text(node)?;
        let parsed = text.parse().ok();
        if parsed.is_none() {
            let message = format!("`{}` is not an address with the length of its subnet", shown(text));
            let diagnostic = Diagnostic::error(codes::BAD_HOST_ADDRESS, node.place, message);
            reader.push(match text.parse::<IpAddr>() {
                Ok(IpAddr::V4(bare)) => diagnostic.hint(format!("add the length, such as `{bare}/24`")),
                Ok(IpAddr::V6(bare)) => diagnostic.hint(format!("add the length, such as `{bare}/64`")),
                Err(_) => diagnostic,
            });
        }
        parsed
    }

    fn shape() -> Shape {
        Shape::Text { name: "address/length", pattern: PREFIX_PATTERN }
    }
}

impl Decode for Prefix {
    fn decode(node: &Node<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let text = reader.text(node)?;
        match text.parse() {
            Ok(prefix) => Some(prefix),
            Err(PrefixError::HostBits { meant, .. }) => {
                let message = format!("prefix `{}` has host bits set", shown(text));
                reader.push(Diagnostic::error(codes::HOST_BITS, node.place, message).hint(format!("the prefix is `{meant}`")));
                None
            }
            Err(PrefixError::Shape { .. }) => {
                let message = format!("`{}` is not a prefix", shown(text));
                let diagnostic = Diagnostic::error(codes::BAD_PREFIX, node.place, message);
                reader.push(match text.parse::<IpAddr>() {
                    Ok(address) => diagnostic.hint(format!("for this address alone, write `{}`", Self::host(address))),
                    Err(_) => diagnostic.hint("a prefix is an address and a length, such as `10.0.0.0/24` or `fd00::/64`"),
                });
                None
            }
        }
    }

    fn shape() -> Shape {
        Shape::Text { name: "prefix", pattern: PREFIX_PATTERN }
    }
}

impl Decode for PortRef {
    fn decode(node: &Node<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let text = reader.text(node)?;
        port_ref(text, node.place, reader)
    }

    fn shape() -> Shape {
        Shape::Text { name: "device:port", pattern: r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?:[A-Za-z][A-Za-z0-9._-]{0,14}$" }
    }
}

/// `device:port`
pub(super) fn port_ref(text: &str, place: Place, reader: &mut Reader<'_>) -> Option<PortRef> {
    let Some((device, port)) = text.split_once(':') else {
        let message = format!("`{}` is not a port: write `device:port`, such as `leaf-01:swp1`", shown(text));
        reader.error(codes::BAD_PORT_REF, place, message);
        return None;
    };
    let device = device.parse::<Name>().map_err(|error| reader.error(codes::BAD_PORT_REF, place, one_line(&error.to_string())));
    let port = port.parse::<IfName>().map_err(|error| reader.error(codes::BAD_PORT_REF, place, one_line(&error.to_string())));
    Some(PortRef { device: device.ok()?, port: port.ok()? })
}

/// A whole number in decimal digits, without sign or leading zeros: those mean another base to some readers.
fn number(node: &Node<'_>, reader: &mut Reader<'_>, name: &str, low: u64, high: u64) -> Option<u64> {
    let text = reader.plain(node, codes::BAD_NUMBER, "a number")?;
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits || (text.len() > 1 && text.starts_with('0')) {
        reader.error(codes::BAD_NUMBER, node.place, format!("`{}` is not a whole number", shown(text)));
        return None;
    }
    let value = text.parse().ok().filter(|value| (low..=high).contains(value));
    if value.is_none() {
        reader.error(codes::OUT_OF_RANGE, node.place, format!("{} is not a {name}: expected {low} to {high}", shown(text)));
    }
    value
}

macro_rules! numbers {
    ($($ty:ty: $name:expr, $low:expr, $high:expr;)+) => {
        $(impl Decode for $ty {
            fn decode(node: &Node<'_>, reader: &mut Reader<'_>) -> Option<Self> {
                number(node, reader, $name, u64::from($low), u64::from($high))?.try_into().ok()
            }

            fn shape() -> Shape {
                Shape::Number { name: $name, low: u64::from($low), high: u64::from($high) }
            }
        })+
    };
}

numbers! {
    Vni: Self::KIND, Self::MIN, Self::MAX;
    VlanId: Self::KIND, Self::MIN, Self::MAX;
    Asn: Self::KIND, Self::MIN, Self::MAX;
    Mtu: Self::KIND, Self::MIN, Self::MAX;
    u8: "number", Self::MIN, Self::MAX;
    u16: "number", Self::MIN, Self::MAX;
    u32: "number", Self::MIN, Self::MAX;
}

impl<T> Decode for Range<T>
where
    T: FromStr<Err = IdError> + Copy + PartialOrd,
{
    fn decode(node: &Node<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let text = reader.text(node)?;
        let error: RangeError = match text.parse() {
            Ok(range) => return Some(range),
            Err(error) => error,
        };
        let code = match &error {
            RangeError::End(IdError::OutOfRange { .. }) => codes::OUT_OF_RANGE,
            RangeError::End(_) | RangeError::Shape { .. } | RangeError::Backwards { .. } => codes::BAD_RANGE,
        };
        let diagnostic = Diagnostic::error(code, node.place, one_line(&error.to_string()));
        reader.push(match (&error, text.split_once('-')) {
            (RangeError::Backwards { .. }, Some((low, high))) => diagnostic.hint(format!("write `{}-{}`", high.trim(), low.trim())),
            _ => diagnostic,
        });
        None
    }

    fn shape() -> Shape {
        Shape::Text { name: "range", pattern: r"^[0-9]+ *- *[0-9]+$" }
    }
}

impl Decode for bool {
    fn decode(node: &Node<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let text = reader.plain(node, codes::BAD_BOOL, "`true` or `false`")?;
        match text {
            "true" => Some(true),
            "false" => Some(false),
            _ => {
                let diagnostic = Diagnostic::error(codes::BAD_BOOL, node.place, format!("`{}` is neither `true` nor `false`", shown(text)));
                reader.push(match text.to_ascii_lowercase().as_str() {
                    "yes" | "on" | "true" | "y" | "1" => diagnostic.hint("write `true`"),
                    "no" | "off" | "false" | "n" | "0" => diagnostic.hint("write `false`"),
                    _ => diagnostic,
                });
                None
            }
        }
    }

    fn shape() -> Shape {
        Shape::Boolean
    }
}

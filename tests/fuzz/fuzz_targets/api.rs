//! Any bytes give a message of the API or an error; what is accepted of it is sent, and understood again as the same.
//!
//! The first byte says as what the others are read.
#![no_main]

use std::fmt::Debug;

use leafwall_api::convert;
use leafwall_api::token::Token;
use leafwall_api::v1::{self, from_agent::Message as Said, upload::Part};
use leafwall_rollout::message::{Answer, Hello, Order};
use libfuzzer_sys::fuzz_target;
use prost::Message;

/// What was understood is sent and understood again.
fn again<T, W>(understood: T)
where
    T: Clone + Debug + PartialEq + TryFrom<W, Error = convert::Malformed>,
    W: From<T> + Message + Default,
{
    let bytes = W::from(understood.clone()).encode_to_vec();
    assert_eq!(T::try_from(W::decode(bytes.as_slice()).unwrap()).unwrap(), understood);
}

fn answer(answer: v1::Answer) {
    if let Ok(answer) = Answer::try_from(answer) {
        again::<Answer, v1::Answer>(answer);
    }
}

fn hello(hello: v1::Hello) {
    if let Ok(hello) = Hello::try_from(hello) {
        again::<Hello, v1::Hello>(hello);
    }
}

fn upload(upload: v1::Upload) {
    match upload.part {
        Some(Part::Piece(piece)) => {
            if let Ok((path, bytes)) = convert::piece(piece) {
                assert!(!path.is_empty() && !path.contains('/') && !path.starts_with('.'));
                assert_eq!(convert::piece(v1::FilePiece { path: path.clone(), bytes: bytes.clone() }), Ok((path, bytes)));
            }
        }
        Some(Part::Head(head)) => {
            if let Ok(digest) = convert::digest("planned", &head.planned) {
                assert_eq!(digest.bytes().as_slice(), head.planned);
            }
        }
        None => {}
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    match kind % 6 {
        0 => match v1::FromAgent::decode(bytes).ok().and_then(|message| message.message) {
            Some(Said::Hello(said)) => hello(said),
            Some(Said::Answer(said)) => answer(said),
            Some(Said::Observed(_)) | None => {}
        },
        1 => {
            if let Ok(Ok(order)) = v1::ToAgent::decode(bytes).map(Order::try_from) {
                again::<Order, v1::ToAgent>(order);
            }
        }
        2 => drop(v1::Hello::decode(bytes).map(hello)),
        3 => drop(v1::Answer::decode(bytes).map(answer)),
        4 => drop(v1::Upload::decode(bytes).map(upload)),
        _ => {
            if let Ok(token) = v1::Token::decode(bytes) {
                assert_eq!(v1::Token::decode(token.encode_to_vec().as_slice()), Ok(token));
            }
            if let Some(Ok(token)) = std::str::from_utf8(bytes).ok().map(str::parse::<Token>) {
                assert_eq!(token.to_string().parse(), Ok(token));
            }
        }
    }
});

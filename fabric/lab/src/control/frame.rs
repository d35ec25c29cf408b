//! Frames: one byte for the kind, four for the length, then the bytes.

use std::io::{self, Read, Write};

/// The longest frame that is accepted: a limit so that a broken peer cannot make us reserve memory.
const LONGEST: usize = 1 << 20;

/// What a frame carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Frame {
    /// JSON of a request, from the client, once.
    Request(Vec<u8>),
    /// Bytes for the command's standard input; none closes it.
    Input(Vec<u8>),
    /// Bytes from its standard output.
    Output(Vec<u8>),
    /// Bytes from its standard error.
    Error(Vec<u8>),
    /// JSON of how it ended, from the guest, last.
    Ending(Vec<u8>),
}

impl Frame {
    /// Writes the frame as one piece.
    pub(crate) fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let (kind, bytes) = match self {
            Self::Request(bytes) => (b'R', bytes),
            Self::Input(bytes) => (b'I', bytes),
            Self::Output(bytes) => (b'O', bytes),
            Self::Error(bytes) => (b'E', bytes),
            Self::Ending(bytes) => (b'X', bytes),
        };
        let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        let mut message = Vec::with_capacity(bytes.len() + 5);
        message.push(kind);
        message.extend_from_slice(&length.to_be_bytes());
        message.extend_from_slice(bytes);
        to.write_all(&message)?;
        to.flush()
    }

    /// Reads the next frame; `None` at the end of the stream.
    pub(crate) fn read(from: &mut impl Read) -> io::Result<Option<Self>> {
        let mut header = [0; 5];
        if from.read(&mut header[..1])? == 0 {
            return Ok(None);
        }
        from.read_exact(&mut header[1..])?;
        let [kind, length @ ..] = header;
        let length = u32::from_be_bytes(length) as usize;
        if length > LONGEST {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a frame of {length} bytes")));
        }
        let mut bytes = vec![0; length];
        from.read_exact(&mut bytes)?;
        match kind {
            b'R' => Ok(Some(Self::Request(bytes))),
            b'I' => Ok(Some(Self::Input(bytes))),
            b'O' => Ok(Some(Self::Output(bytes))),
            b'E' => Ok(Some(Self::Error(bytes))),
            b'X' => Ok(Some(Self::Ending(bytes))),
            other => Err(io::Error::new(io::ErrorKind::InvalidData, format!("a frame of kind {other}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let frames = [
            Frame::Request(b"{}".to_vec()),
            Frame::Input(vec![]),
            Frame::Output(vec![0, 255]),
            Frame::Error(b"e".to_vec()),
            Frame::Ending(b"1".to_vec()),
        ];
        let mut wire = Vec::new();
        for frame in &frames {
            frame.write(&mut wire).unwrap();
        }
        let mut reader = wire.as_slice();
        for frame in &frames {
            assert_eq!(Frame::read(&mut reader).unwrap().as_ref(), Some(frame));
        }
        assert_eq!(Frame::read(&mut reader).unwrap(), None);
    }

    #[test]
    fn a_cut_or_monstrous_frame_is_an_error() {
        assert!(Frame::read(&mut [b'O', 0, 0, 0, 2, 1].as_slice()).is_err());
        assert!(Frame::read(&mut [b'O', 255, 255, 255, 255].as_slice()).is_err());
        assert!(Frame::read(&mut [b'?', 0, 0, 0, 0].as_slice()).is_err());
    }
}

//! Where the bytes of a body go that has no encoding, or none any more.

use std::sync::Arc;

use openai::FormReader;

use crate::Error;
use crate::body::Body;
use crate::depot::Depot;
use crate::stream::EventStream;

/// Where bytes without encoding go.
pub(crate) enum Target {
    Text(Body),
    Form(FormReader),
    Events(Arc<Depot>, EventStream),
}

impl Target {
    pub(crate) fn push(&mut self, piece: &[u8]) -> Result<(), Error> {
        match self {
            Self::Text(body) => body.push(piece),
            Self::Form(form) => {
                form.push(piece);
                Ok(())
            }
            Self::Events(depot, stream) => {
                let Some(came) = stream.push(piece) else { return Ok(()) };
                let mut body = Body::new(depot.clone());
                body.push(&came)?;
                *self = Self::Text(body);
                Ok(())
            }
        }
    }
}

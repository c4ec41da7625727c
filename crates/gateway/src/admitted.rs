//! A request that was let in.

use bytes::Bytes;
use http::request::Parts;
use policy::Grant;

use crate::asked::Asked;
use crate::home::Home;
use crate::spool::Stored;
use crate::upload::Upload;
use crate::websocket::client::Opening;

/// A request that was let in, with its body.
pub(crate) struct Admitted {
    pub(crate) parts: Parts,
    pub(crate) asked: Asked,
    pub(crate) grant: Grant,
    /// The backend that holds what the call is about, if one does.
    pub(crate) home: Home,
    pub(crate) upload: Upload,
    /// The client asks for a WebSocket.
    pub(crate) opening: Option<Box<Opening>>,
}

impl Admitted {
    /// The request has been answered and will not be sent again: what of it is needed while the answer passes,
    /// which may be long.
    pub(crate) fn into_upload(self) -> Upload {
        let mut upload = self.upload;
        // Of any other, a part may still have to be recorded.
        if upload.unrecorded_from().is_none() {
            upload.stored = Stored::Memory(Bytes::new());
        }
        upload
    }
}

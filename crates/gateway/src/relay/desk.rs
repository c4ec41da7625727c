//! What a session owes to limits, to the caller's rights and to whoever makes objects, message by
//! message.

use event::Frame;
use openai::{Peek, SessionEvent};
use policy::Grant;

use crate::asked::Asked;
use crate::exchange::Exchange;
use crate::learner::Learner;
use crate::refusal::Refusal;
use crate::{account, admission};
use vault::Secret;

/// Decides on the messages of one session.
pub(crate) struct Desk<'a> {
    pub(crate) exchange: &'a mut Exchange,
    pub(crate) asked: &'a Asked,
    pub(crate) grant: &'a Grant,
    pub(crate) key: Option<Secret>,
    pub(crate) backend_id: String,
    /// Looks for objects in the answers, where there may be some.
    pub(crate) learner: Option<Box<Learner>>,
}

/// A response was counted against the limits.
#[derive(Default)]
pub(crate) struct Charged {
    /// For the ledger.
    pub(crate) frame: Option<Frame>,
    /// Nothing is left of one of the limits.
    pub(crate) is_exhausted: bool,
}

impl Desk<'_> {
    /// Whether the caller may ask for this: the model, its length, and the objects that it names.
    pub(crate) async fn admit(&mut self, peek: &Peek) -> Result<(), Refusal> {
        let mut asked = self.asked.clone();
        asked.learn(peek);
        self.exchange.check_token_time()?;
        let caller = (self.key.as_ref().map(Secret::expose), self.exchange.member());
        admission::admit(&self.exchange.live, caller, &asked, asked.deployment())?;
        account::check_length(&asked, self.grant)?;
        self.exchange.check_objects(&asked, self.grant, &self.backend_id).await
    }

    /// Takes note of a response that begins or ends; what it made is remembered before it is passed on.
    pub(crate) async fn hear(
        &mut self,
        message: &[u8],
        event: &SessionEvent,
    ) -> Result<Charged, Refusal> {
        if let Some(learner) = &mut self.learner {
            learner.push(b"data: ");
            learner.push(message);
            learner.push(b"\n\n");
            if !learner.has_none() {
                self.exchange.keep_objects(learner).await?;
            }
        }
        let SessionEvent::ResponseEnded(Some(used)) = event else { return Ok(Charged::default()) };
        let Exchange { account, live, recorder, .. } = &mut *self.exchange;
        let charges = account.note_usage(&live.rules, self.asked.deployment(), *used);
        let frame = charges.map(|charges| recorder.charges(charges));
        Ok(Charged { frame, is_exhausted: account.is_exhausted() })
    }
}

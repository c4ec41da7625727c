//! The life of one request, as a list of named phases. It runs in a task of its own, and its record
//! is the explicit last of them: a client that hangs up changes the outcome, not the recording.

use event::{Closed, Frame, Outcome, Refused};
use http::{Request, Response};
use http_body::Body as _;
use hyper::body::Incoming;

use crate::account::Call;
use crate::admitted::Admitted;
use crate::asked::Asked;
use crate::exchange::{Ending, Exchange, Release};
use crate::forward::Served;
use crate::home::Home;
use crate::passing::Passing;
use crate::refusal::{Kind, Refusal};
use crate::spool::Stored;
use crate::websocket::client;
use crate::{headers, record};

impl Exchange {
    /// Serves the request and records how it ended, whatever that was.
    pub(crate) async fn run(&mut self, request: Box<Request<Incoming>>) {
        // What it takes to serve is given back before the answer passes, which may be long.
        let ended = match Box::pin(self.serve(request)).await {
            Ok(Served::Answered(admitted, begun)) => self.answer(admitted, begun).await,
            Ok(Served::Ended(ending)) => Ok(ending),
            Err(refusal) => Err(refusal),
        };
        let ending = ended.unwrap_or_else(|refusal| self.refuse(refusal, Vec::new()));
        self.close(ending).await;
    }

    /// Records and answers a request that is not even looked at.
    pub(crate) async fn decline(&mut self, refusal: Refusal) {
        let ending = self.refuse(refusal, Vec::new());
        self.close(ending).await;
    }

    async fn serve(&mut self, mut request: Box<Request<Incoming>>) -> Result<Served, Refusal> {
        let upgrade = client::upgrade(&mut request);
        let (mut parts, body) = request.into_parts();
        self.check_ledger()?;
        self.check_listener()?;
        let mut asked =
            Asked::new(&self.gateway.catalogue, &parts, self.live.config.edge.unknown_paths);
        self.note_target(&asked);
        let has_body = !body.is_end_stream();
        let is_inspected = self.live.waf.is_some();
        if is_inspected {
            Box::pin(self.inspect_head(&parts, has_body)).await?;
        }
        self.know_caller(&parts).await?;
        let grant = self.authenticate(&parts, &asked)?;
        self.check_product(&grant)?;
        self.check_head(&parts, &asked)?;
        let mut opening = None;
        if let Some(upgrade) = upgrade {
            opening = Some(self.begin_session(&mut parts, &mut asked, upgrade).await?);
        }
        let upload = match self.take_in(&parts, &mut asked, body).await {
            Ok(upload) => upload,
            Err((refusal, stored)) => return self.turn_away(refusal, stored).await,
        };
        self.note_body(&asked);
        if is_inspected
            && has_body
            && let Err(refusal) = Box::pin(self.inspect_body(&parts, &upload)).await
        {
            return self.turn_away(refusal, upload.stored).await;
        }
        let checked = self.check_deployment(&parts, &asked, grant);
        let grant = match checked {
            Ok(grant) => grant,
            Err(refusal) => return self.turn_away(refusal, upload.stored).await,
        };
        // Seldom needed: kept out of the future of every exchange, as elsewhere here.
        let home = match self.may_have_home(&asked) {
            true => Box::pin(self.find_home(&parts, &asked, &grant)).await,
            false => Ok(Home::Any),
        };
        let home = match home {
            Ok(home) => home,
            Err(refusal) => return self.turn_away(refusal, upload.stored).await,
        };
        let call = Call { parts: &parts, asked: &asked, stored: &upload.stored };
        if grant.allowance.is_limited()
            && let Err(refusal) = Box::pin(self.reserve(call, &grant)).await
        {
            return self.turn_away(refusal, upload.stored).await;
        }
        let lists = asked.named.role.lists;
        let admitted = Box::new(Admitted { parts, asked, grant, home, upload, opening });
        match lists {
            Some(kind) => Box::pin(self.list(kind, admitted)).await,
            None => self.forward(admitted).await,
        }
    }

    /// Refuses a request whose body has come, or has begun to.
    async fn turn_away(&mut self, refusal: Refusal, stored: Stored) -> Result<Served, Refusal> {
        Box::pin(self.refuse_body(refusal, stored)).await.map(Served::Ended)
    }

    /// The last phase: the end record is kept, and only then the client gets the end of its answer.
    async fn close(&mut self, mut ending: Ending) {
        let mut frames = std::mem::take(&mut ending.frames);
        self.account.settle(&self.live.rules, &mut Passing::default(), ending.outcome);
        let charges = self.account.settled();
        frames.extend(charges.map(|charges| self.recorder.charges(charges)));
        if self.opening.is_none() && self.recorder.may_have_lost_pieces() {
            let lost = Refusal::new(Kind::LedgerDown).detail(
                "the ledger failed meanwhile: pieces of the bodies may be missing".to_owned(),
            );
            frames.push(self.recorder.closed(Closed::default()));
            return Box::pin(self.close_late(ending, frames, &lost)).await;
        }
        let closed = self.closed(&ending);
        let is_open = frames.iter().any(|frame| frame.kind == event::Kind::Opened);
        match self.opening.take() {
            Some(opened) if !is_open => {
                frames.push(self.recorder.refused(Refused { opened: *opened, closed }));
            }
            _ => frames.push(self.recorder.closed(closed)),
        }
        let failed = match self.recorder.keep(frames.clone()).await {
            Ok(sequence) => {
                if !self.learnt.is_empty() {
                    Box::pin(self.remember_learnt(sequence)).await;
                }
                return ending.release.hand_over().await;
            }
            Err(failed) => failed,
        };
        // Seldom needed and large: kept out of the future of every exchange, as elsewhere here.
        Box::pin(self.close_late(ending, frames, &failed)).await;
    }

    /// The end record could not be written: the client must not take the answer for complete.
    async fn close_late(&mut self, mut ending: Ending, mut frames: Vec<Frame>, failed: &Refusal) {
        self.errors.push(failed.record(self.tally.started.elapsed()));
        ending.outcome = Outcome::GatewayFailed;
        match std::mem::replace(&mut ending.release, Release::Nothing) {
            Release::Whole(reply, ..) => {
                let (mut headers, body) = failed.answer(self.live.config.edge.error_shape);
                headers::correlate(&mut headers, self.recorder.id);
                let mut head = Response::new(());
                *head.status_mut() = failed.status();
                *head.headers_mut() = headers;
                ending.status = failed.status().as_u16();
                ending.headers = record::header_list(head.headers()).into();
                ending.own_body = String::from_utf8_lossy(&body).into_owned();
                reply.whole(head, body);
            }
            Release::End(pieces, _) | Release::Abort(pieces) => pieces.abort().await,
            Release::Session(farewell) => {
                let code = farewell.fail(failed).await;
                if let Some(end) = &mut self.session_end {
                    end.close_code = code;
                    end.closed_by = "gateway".to_owned();
                }
            }
            Release::Nothing => {}
        }
        if frames.last().is_some_and(|last| last.kind == event::Kind::Closed) {
            let closed = self.closed(&ending);
            frames.pop();
            frames.push(self.recorder.closed(closed));
        }
        if !self.recorder.keep_late(frames, &self.gateway.halt).await {
            tracing::error!(
                interaction = %self.recorder.id,
                "the end of an interaction could not be recorded; recovery will close it as interrupted"
            );
        }
    }
}

impl Release {
    async fn hand_over(self) {
        match self {
            Self::Whole(reply, head, body) => {
                reply.whole(head, body);
            }
            Self::End(pieces, Some(last)) => {
                pieces.send(last).await;
            }
            Self::Abort(pieces) => pieces.abort().await,
            Self::Session(farewell) => farewell.hand_over().await,
            Self::End(_, None) | Self::Nothing => {}
        }
    }
}

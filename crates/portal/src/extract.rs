//! What handlers take from a request; what is wrong with it is a [`Problem`].

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::response::Json;
use serde::de::DeserializeOwned;

use crate::problem::Problem;

/// The query string.
pub(crate) struct Parameters<T>(pub(crate) T);

impl<S: Sync + Send, T: DeserializeOwned> FromRequestParts<S> for Parameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(head: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Query::<T>::from_request_parts(head, state).await {
            Ok(Query(parameters)) => Ok(Self(parameters)),
            Err(QueryRejection::FailedToDeserializeQueryString(wrong)) => {
                Err(Problem::new(400, format!("the query string: {}", wrong.body_text())))
            }
            Err(wrong) => Err(Problem::new(400, wrong.body_text())),
        }
    }
}

/// The body, in JSON.
pub(crate) struct Document<T>(pub(crate) T);

/// The one parameter of the path.
pub(crate) struct Segment(pub(crate) String);

impl<S: Sync + Send, T: DeserializeOwned> FromRequest<S> for Document<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match Json::<T>::from_request(request, state).await {
            Ok(Json(document)) => Ok(Self(document)),
            Err(wrong) => Err(Problem::new(status(&wrong), wrong.body_text())),
        }
    }
}

impl<S: Sync + Send> FromRequestParts<S> for Segment {
    type Rejection = Problem;

    async fn from_request_parts(head: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::<String>::from_request_parts(head, state).await {
            Ok(Path(segment)) => Ok(Self(segment)),
            Err(wrong) => Err(Problem::new(400, wrong.body_text())),
        }
    }
}

/// 400 for JSON that is none, 422 for JSON that is not what was asked for, 413 and 415 for what they name.
fn status(wrong: &JsonRejection) -> u16 {
    match wrong.status().as_u16() {
        status @ (413 | 415 | 422) => status,
        _ => 400,
    }
}

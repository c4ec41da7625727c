//! What handlers take from a request; what is wrong with it is a [`Problem`].

use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
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

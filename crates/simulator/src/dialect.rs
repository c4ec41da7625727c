//! The families of addresses under which the API is found.

/// Which of the address families a request came in by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// `/openai/...?api-version=2024-10-21`
    AzureDated,
    /// `/openai/v1/...`
    AzureV1,
    /// `/models/...?api-version=...`
    Inference,
    /// `/v1/...`
    OpenAi,
    /// `/subscriptions/...`: the management host.
    Arm,
}

impl Dialect {
    /// Whether answers carry Azure's headers and annotations.
    pub(crate) fn is_azure(self) -> bool {
        self != Self::OpenAi
    }
}

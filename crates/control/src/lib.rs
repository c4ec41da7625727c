//! The desired state: kept, validated, versioned, published.

//! Every secret: one interface over the homes where secrets live.

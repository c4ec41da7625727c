CREATE TABLE versions (
    number BIGINT PRIMARY KEY,
    created_at BIGINT NOT NULL,
    operation TEXT NOT NULL,
    principal_id TEXT NOT NULL,
    principal_name TEXT NOT NULL,
    message TEXT NOT NULL,
    decree TEXT NOT NULL
);

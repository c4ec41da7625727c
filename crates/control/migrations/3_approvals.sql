CREATE TABLE approvals (
    id TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    purpose TEXT NOT NULL,
    requester_id TEXT NOT NULL,
    requester_name TEXT NOT NULL,
    requested_at BIGINT NOT NULL,
    approver_id TEXT NOT NULL,
    approver_name TEXT NOT NULL,
    ends_at BIGINT NOT NULL
);

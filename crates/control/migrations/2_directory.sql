CREATE TABLE directory_state (
    id BIGINT PRIMARY KEY,
    generation BIGINT NOT NULL
);
INSERT INTO directory_state (id, generation) VALUES (1, 0);
CREATE TABLE directory (
    id TEXT PRIMARY KEY,
    generation BIGINT NOT NULL,
    is_deleted BIGINT NOT NULL,
    document TEXT NOT NULL
);
CREATE INDEX directory_by_generation ON directory (generation);

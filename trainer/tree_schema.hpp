#pragma once

#include "trainer/database.hpp"

namespace banyan {

/// Lists are in the order of (created_ms, seq), and every index by which they are searched ends in
/// it. `outline` comes before `tree`: a row is read from its front.
inline constexpr const char* first_tree_version = R"(
  CREATE TABLE trees(
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    task TEXT NOT NULL,
    state TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    finished_ms INTEGER,           -- NULL until then, like all up to `outline`
    solved INTEGER,
    claimed INTEGER,
    failure TEXT,
    wall_ms REAL,
    threads INTEGER,
    generated_tokens INTEGER,
    weights_epoch INTEGER,
    outline BLOB,                  -- Tree without texts and tokens
    request BLOB,                  -- Request; NULL where only the finished tree was given
    tree BLOB                      -- Tree
  ) STRICT;
  CREATE INDEX trees_by_created ON trees(created_ms);
  CREATE INDEX trees_by_state ON trees(state, created_ms);
  CREATE INDEX trees_by_task ON trees(task, created_ms);
  CREATE INDEX trees_by_solved ON trees(solved, created_ms) WHERE solved IS NOT NULL;
  CREATE INDEX trees_by_finished ON trees(finished_ms) WHERE finished_ms IS NOT NULL;

  CREATE TABLE labels(
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    created_ms INTEGER NOT NULL,   -- of the tree
    tree INTEGER NOT NULL REFERENCES trees(seq) ON DELETE CASCADE,
    PRIMARY KEY(name, value, created_ms, tree)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX labels_by_tree ON labels(tree);

  CREATE TABLE threads(            -- of unfinished trees
    tree INTEGER NOT NULL REFERENCES trees(seq) ON DELETE CASCADE,
    path TEXT NOT NULL,
    record BLOB NOT NULL,          -- Thread
    UNIQUE(tree, path)
  ) STRICT;
)";

inline constexpr const char* second_tree_version = R"(
  ALTER TABLE threads ADD COLUMN used_ms INTEGER NOT NULL DEFAULT 0; -- of the tree's time, then
)";

inline constexpr const char* third_tree_version = R"(
  ALTER TABLE trees ADD COLUMN halted TEXT NOT NULL DEFAULT ''; -- paths of paused threads, a line each
  UPDATE trees SET halted = '/' WHERE state = 'paused';
  CREATE TABLE dropped(            -- where trees stood that are gone: lists go on from there
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    seq INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX dropped_by_id ON dropped(id);
  CREATE TRIGGER trees_dropped AFTER DELETE ON trees BEGIN
    INSERT INTO dropped(id, created_ms, seq) VALUES(old.id, old.created_ms, old.seq);
    DELETE FROM dropped WHERE number <= last_insert_rowid() - 10000;
  END;
)";

inline constexpr const char* tree_versions[] = {first_tree_version, second_tree_version,
                                                third_tree_version};

inline constexpr database::schema tree_schema{0x42616e79, "tree store", tree_versions}; // "Bany"

} // namespace banyan

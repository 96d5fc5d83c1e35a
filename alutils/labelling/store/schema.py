"""The tables of a labelling project; `migration` brings those of older versions to these."""

from __future__ import annotations

import re
import sqlite3

VERSION = 4

_TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE classes (
    number INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    folder TEXT NOT NULL UNIQUE,
    key TEXT UNIQUE,
    position INTEGER NOT NULL,              -- the order to show them in
    gone INTEGER NOT NULL DEFAULT 0         -- deleted or merged: kept for what happened before
);
CREATE TABLE class_events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,                       -- seconds since 1970
    person TEXT,
    kind TEXT NOT NULL CHECK (kind IN ('add', 'rename', 'merge', 'delete', 'order', 'key')),
    class INTEGER REFERENCES classes (number),
    detail TEXT NOT NULL                    -- JSON
);
CREATE TABLE items (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    sha256 TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    source TEXT NOT NULL,
    added TEXT NOT NULL,
    unreadable INTEGER NOT NULL DEFAULT 0,
    skipped INTEGER NOT NULL DEFAULT 0,
    label INTEGER REFERENCES classes (number),
    label_source TEXT CHECK (label_source IN ('human', 'auto')),
    event INTEGER REFERENCES events (id),   -- the one that gave the label
    rejected INTEGER REFERENCES events (id),  -- the one that rejected it, which has no label then
    predicted INTEGER REFERENCES classes (number),
    confidence REAL,
    model INTEGER REFERENCES models (id),   -- the one that predicted
    shuffle REAL NOT NULL,                  -- drawn once from 0 to 1: the order without a model
    rank REAL NOT NULL,                     -- the order of the queue: confidence, else 2 + shuffle
    person TEXT,                            -- who holds it
    until REAL,                             -- how long, in seconds since 1970
    handed REAL,                            -- the order in which a person got pictures
    CHECK ((label IS NULL) = (label_source IS NULL) AND (label IS NULL) = (event IS NULL)),
    CHECK (rejected IS NULL OR label IS NULL)
);
CREATE INDEX queue ON items (skipped, rank)
    WHERE label IS NULL AND rejected IS NULL AND unreadable = 0;
CREATE INDEX held ON items (person) WHERE person IS NOT NULL;
CREATE INDEX random_order ON items (shuffle);
CREATE INDEX labelled ON items (label, confidence) WHERE label IS NOT NULL;
CREATE INDEX lost ON items (id) WHERE unreadable <> 0;
CREATE INDEX thrown_out ON items (rejected) WHERE rejected IS NOT NULL;
CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    item INTEGER NOT NULL REFERENCES items (id),
    kind TEXT NOT NULL CHECK (kind IN ('label', 'skip', 'undo', 'auto', 'revoke', 'relabel',
        'reject', 'second', 'import')),
    label INTEGER REFERENCES classes (number),
    replaced INTEGER REFERENCES events (id),  -- the one whose label it took the place of
    undoes INTEGER UNIQUE REFERENCES events (id),
    batch INTEGER,                            -- the first event of those made in one go
    person TEXT,
    model INTEGER REFERENCES models (id),
    at REAL NOT NULL,                         -- seconds since 1970
    predicted INTEGER REFERENCES classes (number),
    confidence REAL,
    threshold REAL,
    hidden INTEGER NOT NULL DEFAULT 0,        -- the person did not see the prediction
    plan INTEGER REFERENCES plans (id),       -- the attempt to finish within which it was given
    why TEXT                                  -- the reason of a rejection
);
CREATE INDEX of_item ON events (item);
CREATE INDEX of_person ON events (person, id) WHERE person IS NOT NULL;
CREATE INDEX of_plan ON events (plan, id) WHERE plan IS NOT NULL;
CREATE TABLE requests (
    person TEXT NOT NULL,
    key TEXT NOT NULL,
    request TEXT NOT NULL,
    answer TEXT NOT NULL,
    PRIMARY KEY (person, key)
) WITHOUT ROWID;
CREATE TABLE models (
    id INTEGER PRIMARY KEY,
    sha256 TEXT NOT NULL UNIQUE,
    classes TEXT NOT NULL,
    n_trained INTEGER NOT NULL,
    at REAL NOT NULL,
    path TEXT NOT NULL
);
CREATE TABLE plans (                          -- attempts to finish
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    attempt INTEGER NOT NULL,                 -- which attempt it is if it counts, from 1 on
    state TEXT NOT NULL CHECK (state IN ('open', 'certified', 'refused', 'stopped')),
    target REAL NOT NULL,
    level REAL NOT NULL,                      -- of all attempts together
    terms TEXT NOT NULL,                      -- JSON: the plan, as it was fixed
    seed TEXT NOT NULL,
    model INTEGER NOT NULL REFERENCES models (id),
    at REAL NOT NULL,
    person TEXT NOT NULL,                     -- who began it
    begun REAL,                               -- when its first picture was handed out: it counts
    ended REAL,
    certificate TEXT                          -- JSON: the certificate, or why there is none
);
CREATE UNIQUE INDEX one_open ON plans (state) WHERE state = 'open';
CREATE TABLE plan_items (                     -- what a plan was drawn from
    plan INTEGER NOT NULL REFERENCES plans (id),
    item INTEGER NOT NULL REFERENCES items (id),
    place INTEGER,                            -- from 0 on; NULL: a person had labelled it before
    by_hand INTEGER NOT NULL DEFAULT 0,
    predicted INTEGER REFERENCES classes (number),
    confidence REAL,
    margin REAL,                              -- between the two likeliest classes
    rate REAL,                                -- how often a weighted audit draws it
    PRIMARY KEY (plan, item)
) WITHOUT ROWID;
CREATE INDEX plan_of_item ON plan_items (item);
CREATE TABLE seconds (                        -- pictures that are to be asked of another person
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    item INTEGER NOT NULL REFERENCES items (id),
    why TEXT NOT NULL CHECK (why IN ('share', 'audit', 'doubt')),
    plan INTEGER REFERENCES plans (id),
    first INTEGER REFERENCES events (id),     -- the answer that is held against another one
    asked_of TEXT,                            -- who holds it
    until REAL,
    handed REAL,                              -- as of items
    person TEXT,                              -- who answered
    event INTEGER REFERENCES events (id)      -- the answer
);
CREATE INDEX unanswered ON seconds (item) WHERE event IS NULL;
CREATE TABLE notes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    item INTEGER NOT NULL REFERENCES items (id),
    person TEXT NOT NULL,
    at REAL NOT NULL,
    text TEXT NOT NULL
);
CREATE INDEX notes_of_item ON notes (item);
CREATE TABLE seen (               -- files of the watched folder that need no second look
    path BLOB PRIMARY KEY,        -- bytes: not every file name is text
    size INTEGER NOT NULL,
    modified INTEGER NOT NULL,    -- nanoseconds since 1970
    problem TEXT                  -- why it was not taken in, NULL if it was
) WITHOUT ROWID;
CREATE TABLE sources (            -- the people's own files that pictures came from
    id INTEGER PRIMARY KEY,
    item INTEGER NOT NULL REFERENCES items (id),
    path BLOB,                    -- below the folder of pictures; NULL: it was sent
    name TEXT NOT NULL,           -- of a file that was sent; else '', the path tells
    sha256 TEXT,                  -- of the file as it came, NULL where nobody noted it
    found REAL NOT NULL,          -- when, in seconds since 1970
    gone REAL                     -- when it was no longer there, or held something else
);
CREATE INDEX sources_of_item ON sources (item);
CREATE UNIQUE INDEX source_at ON sources (path) WHERE path IS NOT NULL AND gone IS NULL;
CREATE TRIGGER events_are_kept BEFORE DELETE ON events
    BEGIN SELECT raise(ABORT, 'events are only ever added'); END;
CREATE TRIGGER events_stay_as_they_are BEFORE UPDATE ON events
    BEGIN SELECT raise(ABORT, 'events are only ever added'); END;
CREATE TRIGGER plans_are_kept BEFORE DELETE ON plans
    BEGIN SELECT raise(ABORT, 'plans are only ever added'); END;
CREATE TRIGGER plans_stay_as_they_are
    BEFORE UPDATE OF attempt, target, level, terms, seed, model, at, person ON plans
    BEGIN SELECT raise(ABORT, 'a plan is fixed before its first answer'); END;
CREATE TRIGGER plan_items_are_kept BEFORE DELETE ON plan_items
    BEGIN SELECT raise(ABORT, 'a plan is fixed before its first answer'); END;
CREATE TRIGGER plan_items_stay_as_they_are BEFORE UPDATE ON plan_items
    BEGIN SELECT raise(ABORT, 'a plan is fixed before its first answer'); END;
"""

STATEMENTS: tuple[str, ...] = tuple(re.split(r"\n(?=CREATE)", _TABLES.strip()))


def tables(connection: sqlite3.Connection) -> set[str]:
    """Return the names of the tables that there are."""
    query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    return {name for (name,) in connection.execute(query)}


def version_of(connection: sqlite3.Connection) -> int | None:
    """Return the version of the tables; None where there are none, 0 where they are others'."""
    there = tables(connection)
    if not there:
        return None
    if "meta" not in there:
        return 0
    row = connection.execute("SELECT value FROM meta WHERE name = 'version'").fetchone()
    return 0 if row is None else int(row[0])


def missing_statements(connection: sqlite3.Connection) -> list[str]:
    """Return those of `STATEMENTS` by which no table, index or trigger was made, as one line each.

    A database of today's version has all of them. SQLite itself takes a damaged one for sound if it
    is still SQL.
    """
    there = {row[0] for row in connection.execute("SELECT sql FROM sqlite_master")}
    return [" ".join(s.split()) for s in STATEMENTS if s.rstrip(";") not in there]

-- What gobi's embedded database of schema 5 holds, as sqlite3 dumps it, from a real one. Never to be changed.
PRAGMA user_version = 5;
BEGIN TRANSACTION;
CREATE TABLE conflicts (
        vault INTEGER NOT NULL,
        id TEXT NOT NULL,
        path TEXT NOT NULL,
        base INTEGER,
        opened INTEGER NOT NULL,
        candidates TEXT NOT NULL,
        resolution TEXT,
        PRIMARY KEY (vault, id)
    ) WITHOUT ROWID;
CREATE TABLE invitations (
        hash TEXT PRIMARY KEY,
        user TEXT NOT NULL,
        vault INTEGER NOT NULL,
        expires INTEGER NOT NULL,
        password TEXT
    ) WITHOUT ROWID;
INSERT INTO "invitations" VALUES('iiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiii','me',3184920399342411923,1796100427730038,NULL);
CREATE TABLE members (
        vault INTEGER NOT NULL,
        user TEXT NOT NULL,
        role TEXT NOT NULL,
        PRIMARY KEY (vault, user)
    ) WITHOUT ROWID;
INSERT INTO "members" VALUES(3184920399342411923,'me','owner');
CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
INSERT INTO "meta" VALUES('secret',X'D9BD910803EE953AB7CEF961EA826DB9535CE930CD1BEFD4F60C9D187405177C');
CREATE TABLE users (name TEXT PRIMARY KEY, password TEXT, devices TEXT NOT NULL DEFAULT '[]') WITHOUT ROWID;
INSERT INTO "users" VALUES('me','$argon2id$','[["laptop", "llllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllll", 1796096827720446]]');
CREATE TABLE vaults (
        key INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        epoch TEXT NOT NULL,
        clock INTEGER NOT NULL DEFAULT 0,
        purge_mark INTEGER NOT NULL DEFAULT 0,
        files INTEGER NOT NULL DEFAULT 0,
        bytes INTEGER NOT NULL DEFAULT 0,
        stored INTEGER NOT NULL DEFAULT 0,
        conflicts INTEGER NOT NULL DEFAULT 0
    , auto_merge INTEGER NOT NULL DEFAULT 0, lapses TEXT NOT NULL DEFAULT '[]');
INSERT INTO "vaults" VALUES(3184920399342411923,'notes','fd75bc45c1c1',0,0,0,0,0,0,0,'[]');
CREATE TABLE versions (
        vault INTEGER NOT NULL,
        stamp INTEGER NOT NULL,
        path TEXT NOT NULL,
        base INTEGER,
        hash BLOB,
        size INTEGER NOT NULL,
        mtime INTEGER,
        device TEXT NOT NULL,
        user TEXT NOT NULL, executable INTEGER, at INTEGER,
        PRIMARY KEY (vault, stamp)
    ) WITHOUT ROWID;
CREATE INDEX members_by_user ON members (user);
CREATE INDEX versions_by_path ON versions (vault, path, stamp);
CREATE INDEX conflicts_by_path ON conflicts (vault, path);
CREATE INDEX conflicts_open ON conflicts (vault, opened) WHERE resolution IS NULL;
COMMIT;

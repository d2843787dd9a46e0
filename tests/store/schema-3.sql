-- What gobi's embedded database of schema 3 holds, as sqlite3 dumps it, from a real one. Never to be changed.
PRAGMA user_version = 3;
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
INSERT INTO "conflicts" VALUES(3319732188021097625,'75838a2936886a8b','tools/run.sh',1795000000000000,1795000004000000,'[{"n": 1, "user": "me", "device": "phone", "hash": "4b47c217778b67ed97d28f810db2a2fe197dd7139ccfea4dca304c5e7577a483", "size": 16, "mtime": 5, "at": 1795000004000000}]',NULL);
CREATE TABLE invitations (
        hash TEXT PRIMARY KEY,
        user TEXT NOT NULL,
        vault INTEGER NOT NULL,
        expires INTEGER NOT NULL,
        password TEXT
    ) WITHOUT ROWID;
CREATE TABLE members (
        vault INTEGER NOT NULL,
        user TEXT NOT NULL,
        role TEXT NOT NULL,
        PRIMARY KEY (vault, user)
    ) WITHOUT ROWID;
INSERT INTO "members" VALUES(3319732188021097625,'me','owner');
CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
INSERT INTO "meta" VALUES('secret',X'E77208EE7ECD0719BBA55635DEDDF31530CF26B64C0E22D9DFA090F868356359');
CREATE TABLE users (name TEXT PRIMARY KEY, password TEXT, devices TEXT NOT NULL DEFAULT '[]') WITHOUT ROWID;
INSERT INTO "users" VALUES('me','$argon2id$','[["laptop", "llllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllll", 1795000005000000]]');
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
    , auto_merge INTEGER NOT NULL DEFAULT 0);
INSERT INTO "vaults" VALUES(3319732188021097625,'notes','b64383d2c55a',1795000003000000,0,1,15,45,1,0);
CREATE TABLE versions (
        vault INTEGER NOT NULL,
        stamp INTEGER NOT NULL,
        path TEXT NOT NULL,
        base INTEGER,
        hash BLOB,
        size INTEGER NOT NULL,
        mtime INTEGER,
        device TEXT NOT NULL,
        user TEXT NOT NULL,
        PRIMARY KEY (vault, stamp)
    ) WITHOUT ROWID;
INSERT INTO "versions" VALUES(3319732188021097625,1795000000000000,'tools/run.sh',NULL,X'A8076D3D28D21E02012B20EAF7DBF75409A6277134439025F282E368E3305ABF',10,5,'laptop','me');
INSERT INTO "versions" VALUES(3319732188021097625,1795000001000000,'tools/run.sh',1795000000000000,X'C4E7139BD31CA16A1F860625E8BE1F560A2E0B0459F3610975A73A61CE60ADE1',15,5,'laptop','me');
INSERT INTO "versions" VALUES(3319732188021097625,1795000002000000,'notes.md',NULL,X'982D9E3EB996F559E633F4D194DEF3761D909F5A3B647D1A851FEAD67C32C9D1',4,5,'laptop','me');
INSERT INTO "versions" VALUES(3319732188021097625,1795000003000000,'notes.md',1795000002000000,NULL,0,NULL,'laptop','me');
CREATE INDEX members_by_user ON members (user);
CREATE INDEX versions_by_path ON versions (vault, path, stamp);
CREATE INDEX conflicts_by_path ON conflicts (vault, path);
CREATE INDEX conflicts_open ON conflicts (vault, opened) WHERE resolution IS NULL;
COMMIT;

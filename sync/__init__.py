"""The rules of syncing: pure, without I/O and without a clock. Server and client share them."""

"""What an operator runs: settings, the server, people and vaults."""

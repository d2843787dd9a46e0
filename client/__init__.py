"""The reference client: keeps one folder in step with one vault."""

"""Results in SQLite, exports as projections of it."""

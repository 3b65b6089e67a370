"""Doors to the engine for other processes."""

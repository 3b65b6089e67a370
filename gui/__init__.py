"""Heddle's window: widgets only. It knows the engine by its protocol and never imports torch."""

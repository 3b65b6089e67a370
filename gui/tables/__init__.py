"""Item models and delegates for the tables of the window."""

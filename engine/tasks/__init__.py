"""One file a task; base.py holds what every task answers."""

"""What start.py does: make the environment, look for a display, hand over. Standard library only."""

from __future__ import annotations


class SetupError(Exception):
    """Something that keeps Heddle from starting; the message tells the user what it is and what to do."""

"""A guard against a reference that PySide6 6.12.0 drops on Python 3.10 and 3.11.

That wheel (tag cp310-abi3) returns None, True and False without taking a reference, as is right only where they are
immortal: from Python 3.12 on (PEP 683). Before that, every call of a method that returns nothing costs None one
reference, and after some ten thousand calls the interpreter ends with "none_dealloc: deallocating None". 6.11.3 does
not have the fault. It shows in three lines: a QPushButton, and setEnabled() in a loop of 200,000.
"""

from __future__ import annotations

import ctypes
import sys

SPARE = 1 << 40
"""References given to each singleton: a thousand calls a millisecond would take 35 years to use them up."""


def protect_singletons() -> bool:
    """Give None, True and False references to spare where they are mortal; returns whether it was needed."""
    if sys.implementation.name != "cpython" or sys.version_info >= (3, 12) or hasattr(sys, "gettotalrefcount"):
        return False
    for value in (None, True, False):
        if sys.getrefcount(value) < SPARE:
            ctypes.c_ssize_t.from_address(id(value)).value += SPARE
    return True

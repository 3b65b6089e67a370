"""Numbers short enough for the side of a small plot."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication, QLocale

from gui.words import decimals, number


def compact(value: float) -> str:
    """Return ``0``, ``0.5``, ``200``, ``5k``, ``20M``: what is left of a round number in four characters."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            scaled = value / size
            return f"{number(round(scaled)) if scaled >= 10 or scaled == int(scaled) else decimals(scaled, 1)}{letter}"
    return number(round(value)) if value == int(value) else decimals(value, 1)


def compact_size(value: float) -> str:
    """Return a round number of bytes as ``500 MB`` or ``2 GB`` (powers of 1000), and 0 as a bare ``0``."""
    if value <= 0.0:
        return number(0)
    return QLocale().formattedDataSize(round(value), 0, QLocale.DataSizeFormat.DataSizeSIFormat)


def short_size(value: float) -> str:
    """Return a number of bytes in three digits, such as ``968 MB`` and ``1.2 GB`` (powers of 1000)."""
    scaled, unit = value, 1.0
    while scaled >= 999.5:  # what rounds to 1000 is 1 of the next unit
        scaled, unit = scaled / 1000.0, unit * 1000.0
    digits = 0 if scaled >= 99.5 else 1
    return QLocale().formattedDataSize(
        round(max(value, unit) if unit > 1.0 else value), digits, QLocale.DataSizeFormat.DataSizeSIFormat
    )


def part(share: float) -> str:
    """Return a share of a whole as a rounded percentage; what is there is never called 0 %."""
    return QCoreApplication.translate("charts", "<1 %") if 0.0 < share < 0.005 else percentage(share)


def percentage(share: float) -> str:
    """Return a share as a rounded percentage: ``0.5`` is ``50 %``, and two busy cores are ``200 %``."""
    return QCoreApplication.translate("charts", "{number} %").format(number=number(round(100.0 * share)))

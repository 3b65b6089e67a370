"""English as a translation of the source strings: the singulars."""

from __future__ import annotations

from PySide6.QtCore import QTranslator

SINGULARS = {
    "%Ln documents": "%Ln document",
    "%Ln lanes": "%Ln lane",
    "%Ln threads": "%Ln thread",
    "%Ln cores": "%Ln core",
    "%Ln failed": "%Ln failed",
}
"""Source strings hold the plural; these are their forms for one. ``%Ln`` is the number in the user's locale."""


class English(QTranslator):
    """Chooses the singular of the strings that count something; everything else stays the source string."""

    def isEmpty(self) -> bool:  # Qt installs no translator that says it is empty
        """Return that there is something to translate."""
        return False

    def translate(self, context: str, source_text: str, disambiguation: str | None = None, n: int = -1) -> str | None:
        """Return the singular for ``n`` = 1, or None to keep the source string."""
        del context, disambiguation  # a count is a count wherever it stands
        return SINGULARS.get(source_text) if n == 1 else None

"""English as a translation of the source strings: the singulars."""

from __future__ import annotations

import re

from PySide6.QtCore import QTranslator

SINGULARS = {
    "%Ln documents": "%Ln document",
    "%Ln workers": "%Ln worker",
    "%Ln threads": "%Ln thread",
    "%Ln cores": "%Ln core",
    "%Ln failed": "%Ln failed",
    "%Ln tokens": "%Ln token",
    "%Ln slots each": "%Ln slot each",
    "%Ln are longer than the {space} that fit": "%Ln is longer than the {space} that fit",
    "%Ln characters are not shown": "%Ln character is not shown",
    "It is asked about in %Ln parts; this is the first.": "It is asked about in %Ln part.",
    "Exported %Ln documents to {path}.": "Exported %Ln document to {path}.",
    "Nothing is waiting. Run %Ln documents again?": "Nothing is waiting. Run %Ln document again?",
    "One row for each of %Ln documents, whatever became of it.": "One row for %Ln document, whatever became of it.",
    "Take %Ln documents off the pile?": "Take %Ln document off the pile?",
    "Wrote %Ln documents to {path}; the others follow as they end.": (
        "Wrote %Ln document to {path}; the others follow as they end."
    ),
    "{name} is done: %Ln documents": "{name} is done: %Ln document",
}
"""Source strings hold the plural; these are their forms for one. ``%Ln`` is the number in the user's locale."""

_COUNTED = re.compile("(%Ln (?:documents|answers|rows|workers|threads|cores))\\b")
"""What is counted in the other source strings; for one, its s goes."""


class English(QTranslator):
    """Chooses the singular of the strings that count something; everything else stays the source string."""

    def isEmpty(self) -> bool:  # Qt installs no translator that says it is empty
        """Return that there is something to translate."""
        return False

    def translate(self, context: str, source_text: str, disambiguation: str | None = None, n: int = -1) -> str | None:
        """Return the singular for ``n`` = 1, or None to keep the source string."""
        del context, disambiguation  # a count is a count wherever it stands
        if n != 1:
            return None
        one = SINGULARS.get(source_text) or _COUNTED.sub(lambda found: found[1][:-1], source_text)
        return one if one != source_text else None

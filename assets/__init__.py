"""What ships beside the code: icons, the sample pile, translations, models of our own."""

from __future__ import annotations

from pathlib import Path

_FOLDER = Path(__file__).resolve().parent


def path(*parts: str) -> Path:
    """Return the path of an asset, e.g. ``path("samples")`` or ``path("icons", "pause.svg")``.

    It works from a checkout, from an installed wheel and in a frozen program alike, because the assets are files of
    this package. Raises FileNotFoundError, naming the path, where there is no such asset.
    """
    found = _FOLDER.joinpath(*parts)
    if not found.exists():
        message = f"Heddle was installed without {'/'.join(('assets', *parts))}; install it again ({found})"
        raise FileNotFoundError(message)
    return found

"""Draw the icon in the sizes and formats that systems want.

    python icons.py ICON.svg FOLDER

Run by the Python of the throw-away environment, which has Qt. Makes hicolor/SIZExSIZE/apps/heddle.png, the drawing itself
beside them, heddle.ico for Windows and heddle.icns for macOS.
"""

from __future__ import annotations

import os
import shutil
import sys

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QGuiApplication, QImage, QPainter
from PySide6.QtSvg import QSvgRenderer

SIZES = (16, 22, 24, 32, 48, 64, 128, 256, 512)


def main(drawing: str, folder: str) -> int:
    """Draw everything; returns 0, or 1 where a file could not be written."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    application = QGuiApplication([])
    renderer = QSvgRenderer(drawing)
    written = []
    for size in SIZES:
        place = os.path.join(folder, "hicolor", f"{size}x{size}", "apps")
        os.makedirs(place, exist_ok=True)
        written.append(drawn(renderer, size).save(os.path.join(place, "heddle.png")))
    scalable = os.path.join(folder, "hicolor", "scalable", "apps")
    os.makedirs(scalable, exist_ok=True)
    shutil.copyfile(drawing, os.path.join(scalable, "heddle.svg"))
    written += [drawn(renderer, 256).save(os.path.join(folder, name)) for name in ("heddle.ico", "heddle.icns")]
    del application
    return 0 if all(written) else 1


def drawn(renderer: QSvgRenderer, size: int) -> QImage:
    """Return the drawing as a picture of ``size`` x ``size`` pixels on nothing."""
    picture = QImage(size, size, QImage.Format.Format_ARGB32)
    picture.fill(Qt.GlobalColor.transparent)
    painter = QPainter(picture)
    renderer.render(painter, QRectF(0, 0, size, size))
    painter.end()
    return picture


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

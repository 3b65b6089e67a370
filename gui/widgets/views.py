"""The views of the middle of the window, one of them shown: the table with its result, and the charts."""

from __future__ import annotations

from PySide6.QtWidgets import QSizePolicy, QStackedWidget, QTabBar, QVBoxLayout, QWidget


class Views(QWidget):
    """Pages under a bar of tabs. ``bar`` is that bar, whose ``currentChanged`` tells which page is shown."""

    def __init__(self, name: str) -> None:
        """Have no page yet; ``name`` is what screen readers call the bar."""
        super().__init__()
        self.bar = QTabBar()
        self.bar.setAccessibleName(name)
        self.bar.setDrawBase(False)
        self.bar.setExpanding(False)
        self.bar.setDocumentMode(True)
        self._pages = QStackedWidget()
        self._pages.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.bar.currentChanged.connect(self._pages.setCurrentIndex)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.bar)
        column.addWidget(self._pages, 1)

    def add(self, page: QWidget, title: str) -> None:
        """Add a page."""
        self._pages.addWidget(page)
        self.bar.addTab(title)

    def show_page(self, at: int) -> None:
        """Show a page by its number."""
        self.bar.setCurrentIndex(at)

"""The way of the Tab key through the window."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from PySide6.QtWidgets import QWidget

from gui import words

if TYPE_CHECKING:
    from gui.main_window import MainWindow


def lead_tabs(window: MainWindow) -> None:
    """Lead the Tab key the way the eye goes: toolbar, side panels, filters, table, result."""
    form = window.task_panel.form
    result = window.result_panel
    chain = [
        window.model_panel.choice,
        window.model_panel.open,
        window.model_panel.refresh,
        window.model_panel.unload,
        window.model_panel.cancel,
        window.task_panel.choice,
        *(field.editor for field in (form.in_order if form is not None else ())),
        window.hardware_panel.device,
        window.hardware_panel.workers,
        window.hardware_panel.threads,
        window.hardware_panel.slots,
        window.hardware_panel.dtype,
        *(window.pile_panel.chips.button(state) for state in ("", *words.STATES)),
        window.pile_panel.search,
        window.pile_panel.view,
        result.text,
        result.tabs,
        result.view.answer,
        result.prompt.text,
        result.trial.button,
        result.trial.stop,
        result.trial.text,
    ]
    for before, after in pairwise(chain):
        QWidget.setTabOrder(before, after)

"""The way of the Tab key through the window."""

from __future__ import annotations

from itertools import pairwise

from PySide6.QtWidgets import QWidget

from gui import words
from gui.panels.hardware import HardwarePanel
from gui.panels.model import ModelPanel
from gui.panels.pile import PilePanel
from gui.panels.result import ResultPanel
from gui.panels.task import TaskPanel


def lead_tabs(
    model: ModelPanel, task: TaskPanel, hardware: HardwarePanel, pile: PilePanel, result: ResultPanel
) -> None:
    """Lead the Tab key the way the eye goes: toolbar, side panels, filters, table, result."""
    form = task.form
    chain = [
        model.choice,
        model.open,
        model.refresh,
        model.unload,
        model.cancel,
        task.choice,
        *(field.editor for field in (form.in_order if form is not None else ())),
        hardware.device,
        hardware.workers,
        hardware.threads,
        hardware.slots,
        hardware.dtype,
        *(pile.chips.button(state) for state in ("", *words.STATES)),
        pile.search,
        pile.view,
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

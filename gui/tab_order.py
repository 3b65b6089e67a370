"""The way of the Tab key through the window."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from PySide6.QtWidgets import QTabBar, QWidget

from gui import words
from gui.panels.hardware import HardwarePanel
from gui.panels.model import ModelPanel
from gui.panels.pile import PilePanel
from gui.panels.result import ResultPanel
from gui.panels.task import TaskPanel
from gui.widgets.dock import Dock


def lead_tabs(
    docks: Mapping[str, Dock],
    views: QTabBar,
    *,
    model: ModelPanel,
    task: TaskPanel,
    hardware: HardwarePanel,
    pile: PilePanel,
    result: ResultPanel,
) -> None:
    """Lead the Tab key the way the eye goes: toolbar, side panels, views, filters, table, result."""
    form = task.form
    chain = [
        task.choice,
        *(field.editor for field in (form.in_order if form is not None else ())),
        docks["model"].line,
        docks["model"].unfold,
        model.choice,
        model.open,
        model.open_file,
        model.refresh,
        model.unload,
        model.cancel,
        docks["hardware"].line,
        docks["hardware"].unfold,
        hardware.device,
        hardware.workers,
        hardware.threads,
        hardware.slots,
        hardware.dtype,
        views,
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

"""The task: what is done to each document, and its settings as a form."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QComboBox, QFrame, QHBoxLayout, QPushButton, QScrollArea, QVBoxLayout, QWidget

from engine.api import Preset
from gui import words
from gui.panels.task_form import TaskForm
from gui.session import Session
from gui.widgets.labels import wrapped


class TaskPanel(QWidget):
    """Chooses a task; every task's settings are remembered.

    ``changed`` tells that Start may be possible or not, ``form_made`` that there is another form.
    """

    changed = Signal()
    form_made = Signal()

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        """Offer the tasks that the engine of ``session`` names in its Hello."""
        super().__init__(parent)
        self._session = session
        self._wanted: tuple[str, dict[str, Any]] | None = None
        self.form: TaskForm | None = None
        self.choice = QComboBox()
        self.choice.setAccessibleName(self.tr("Task"))
        self.choice.setPlaceholderText(self.tr("Waiting for the engine"))
        self.choice.setEnabled(False)
        self.choice.currentIndexChanged.connect(self._choose)
        self._help = wrapped(look="muted")
        self.obstacle = wrapped(look="warning")
        self.obstacle.hide()
        self._scroll = QScrollArea()
        self._scroll.setWidgetResizable(True)
        self._scroll.setFrameShape(QFrame.Shape.NoFrame)
        self._scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._scroll.setMinimumHeight(56)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 2, 8, 8)
        layout.setSpacing(8)
        layout.addWidget(self.choice)
        self._presets = QHBoxLayout()
        self._presets.setSpacing(4)
        layout.addLayout(self._presets)
        layout.addWidget(self._help)
        layout.addWidget(self.obstacle)
        layout.addWidget(self._scroll, 1)
        self.counts = wrapped(look="muted")
        self.counts.hide()
        layout.addWidget(self.counts)
        session.hello.connect(self._offer)

    @property
    def task(self) -> str:
        """The name of the chosen task, "" before the engine named any."""
        return self.form.spec.name if self.form is not None else ""

    def values(self) -> dict[str, Any]:
        """Return the settings of the chosen task."""
        return self.form.values() if self.form is not None else {}

    def problems(self) -> list[str]:
        """Return what keeps the task from starting."""
        return self.form.problems() if self.form is not None else [self.tr("No task is chosen.")]

    def show_problems(self) -> None:
        """Mark what is wrong in the form and go there."""
        if self.form is not None:
            self.form.show_problems()
            wrong = next((field for field in self.form.in_order if field.problem()), None)
            if wrong is not None:
                wrong.editor.setFocus()
                self._scroll.ensureWidgetVisible(wrong)

    def show_obstacle(self, text: str) -> None:
        """Say why the task cannot start with the model that is open; nothing when it can."""
        if text != self.obstacle.text():
            self.obstacle.setText(text)
        self.obstacle.setVisible(bool(text))

    def show_counts(self, counts: dict[str, Any]) -> None:
        """Say how many tokens the pile has and what becomes of documents that are too long; nothing when unknown."""
        self.counts.setText(self._counted(counts) if counts else "")
        self.counts.setVisible(bool(counts))

    def _counted(self, counts: dict[str, Any]) -> str:
        said = self.tr("{documents}, {tokens} tokens, the longest {longest}.").format(
            documents=words.documents(counts["documents"] - counts["uncounted"]),
            tokens=words.number(counts["tokens"]),
            longest=words.number(counts["longest"]),
        )
        if counts["longer"]:
            said += " " + self.tr("%Ln are longer than the {space} that fit", "", counts["longer"]).format(
                space=words.number(counts["space"])
            )
            parts, unused = words.number(counts["parts"]), words.number(counts["unused"])
            said += {
                "split": self.tr(": split into {parts} parts.").format(parts=parts),
                "head": self.tr(": only their beginning is used, {unused} tokens are not.").format(unused=unused),
                "tail": self.tr(": only their end is used, {unused} tokens are not.").format(unused=unused),
            }.get(counts["policy"], self.tr(" and will be refused."))
        elif counts["space"]:
            said += " " + self.tr("All fit.")
        return said

    def preset(self, task: str, values: dict[str, Any]) -> None:
        """Choose a task and fill in its form, at once or as soon as the engine offers it."""
        self._wanted = (task, values)
        self._meet_wish()

    def _meet_wish(self) -> None:
        if self._wanted is None:
            return
        task, values = self._wanted
        at = self.choice.findData(task)
        if at >= 0:
            self._wanted = None
            self.choice.setCurrentIndex(at)
            if self.form is not None:
                self.form.set_values(values)
                self._remember()

    def _offer(self) -> None:
        """Fill the list from the engine's tasks, once: a restarted engine has the same."""
        hello = self._session.machine_hello
        if hello is None or self.choice.count():
            return
        self.choice.blockSignals(True)
        for spec in hello.tasks:
            self.choice.addItem(words.engine_text(spec.label), spec.name)
            for preset in spec.presets:
                self._add_preset(spec.name, preset)
        self._presets.addStretch(1)
        last = self._session.settings.text("task", "classify")
        self.choice.setCurrentIndex(max(0, self.choice.findData(last)))
        self.choice.blockSignals(False)
        self.choice.setEnabled(self.choice.count() > 0)
        self._choose()
        self._meet_wish()

    def _add_preset(self, task: str, preset: Preset) -> None:
        button = QPushButton(words.engine_text(preset.label))
        button.setToolTip(words.engine_text(preset.help))
        button.clicked.connect(lambda _checked=False: self.preset(task, preset.values))
        self._presets.addWidget(button)

    def _choose(self) -> None:
        hello = self._session.machine_hello
        name = self.choice.currentData()
        spec = next((spec for spec in hello.tasks if spec.name == name), None) if hello is not None else None
        if spec is None:
            return
        self._help.setText(words.engine_text(spec.help))
        self.choice.setToolTip(words.engine_text(spec.help))
        self.form = TaskForm(spec, self._session.settings.json(f"tasks/{spec.name}", {}))
        self.form.changed.connect(self._remember)
        self._scroll.setWidget(self.form)
        self._session.settings.set_text("task", spec.name)
        self.form_made.emit()
        self.changed.emit()

    def _remember(self) -> None:
        if self.form is not None:
            self._session.settings.set_json(f"tasks/{self.form.spec.name}", self.form.values())
        self.changed.emit()

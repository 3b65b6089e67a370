"""A form made from a task's typed settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QLabel,
    QLineEdit,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from engine.api import Setting, TaskSpec, UsageError
from engine.api.fields import parse_fields
from engine.api.labels import parse_labels
from engine.api.prompt_format import PromptFormat
from engine.api.questions import parse_questions
from gui import words
from gui.widgets.labels import wrapped
from gui.widgets.text_area import TextArea
from gui.widgets.wheel import scroll_past

_LIMIT = 2**31 - 1
"""Where a setting names no limit, or one that Qt's whole numbers cannot hold; Qt's own default would stop at 99."""


class Field(QWidget):
    """One setting: its name, its editor, and below it what is wrong with it."""

    changed = Signal()

    def __init__(self, setting: Setting) -> None:
        """Make the editor for the setting's kind."""
        super().__init__()
        self.setting = setting
        self._value: Callable[[], Any]
        self._set: Callable[[Any], None]
        title = words.engine_text(setting.label)
        self.editor = self._make(setting, title)
        tip = words.sentence(words.engine_text(setting.help))
        self.editor.setToolTip(tip)
        self.editor.setAccessibleName(title)
        self.editor.setAccessibleDescription(tip)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        if setting.kind != "switch":
            name = QLabel(title)
            name.setTextFormat(Qt.TextFormat.PlainText)
            name.setToolTip(tip)
            name.setBuddy(self.editor)
            column.addWidget(name)
        column.addWidget(self.editor)
        if setting.required and tip:
            column.addWidget(wrapped(tip, look="muted"))
        self._problem = wrapped(look="problem")
        self._problem.hide()
        column.addWidget(self._problem)
        self.set_value(setting.default)
        scroll_past(self)

    def _make(self, setting: Setting, title: str) -> QWidget:
        match setting.kind:
            case "switch":
                box = QCheckBox(title)
                box.toggled.connect(self.changed)
                self._value, self._set = box.isChecked, lambda v: box.setChecked(bool(v))
                return box
            case "choice":
                combo = QComboBox()
                for choice in setting.choices:
                    combo.addItem(words.choice(choice), choice)
                combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
                combo.currentIndexChanged.connect(self.changed)
                self._value = combo.currentData
                self._set = lambda v: combo.setCurrentIndex(max(0, combo.findData(v)))
                return combo
            case "integer":
                spin = QSpinBox()
                low, high = setting.minimum, setting.maximum
                spin.setRange(
                    -_LIMIT if low is None else int(max(low, -_LIMIT)),
                    _LIMIT if high is None else int(min(high, _LIMIT)),
                )
                spin.valueChanged.connect(self.changed)
                self._value, self._set = spin.value, lambda v: spin.setValue(int(v))
                return spin
            case "number":
                real = QDoubleSpinBox()
                low, high = setting.minimum, setting.maximum
                real.setRange(-_LIMIT if low is None else low, _LIMIT if high is None else high)
                real.setDecimals(3)
                real.setSingleStep(0.01 if high is not None and high <= 10 else 1.0)
                real.valueChanged.connect(self.changed)
                self._value, self._set = lambda: round(real.value(), 3), lambda v: real.setValue(float(v))
                return real
            case "labels" | "fields" | "questions" | "multiline" | "examples":
                area = TextArea(5 if setting.required else 3, 24)
                if setting.kind == "labels":
                    area.setPlaceholderText(
                        self.tr("One label a line:\ndelivery: the parcel is late or lost\nbilling: the amount is wrong")
                    )
                if setting.kind == "fields":
                    area.setPlaceholderText(
                        self.tr(
                            "One field a line, with what it is and what belongs in it:\n"
                            "amount (number): the sum to be paid\nstate (open | paid)"
                        )
                    )
                if setting.kind == "questions":
                    area.setPlaceholderText(
                        self.tr(
                            "One question a line:\nproblem: What does the writer complain about?\nWhat should be done?"
                        )
                    )
                if setting.kind == "examples":
                    area.setPlaceholderText(self.tr("One example a line, as document => answer"))
                area.textChanged.connect(self.changed)
                self._value, self._set = area.toPlainText, lambda v: area.setPlainText(str(v))
                return area
            case _:
                line = QLineEdit()
                line.setProperty("look", "field")
                line.setAcceptDrops(False)
                line.textChanged.connect(self.changed)
                self._value, self._set = line.text, lambda v: line.setText(str(v))
                return line

    def value(self) -> Any:
        """Return the setting as the engine takes it."""
        return self._value()

    def set_value(self, value: Any) -> None:
        """Show a value; one of another type than the setting's is ignored."""
        wanted = (bool,) if self.setting.kind == "switch" else (int, float)
        if self.setting.kind not in ("switch", "number", "integer"):
            wanted = (str,)
        if isinstance(value, wanted) and value != self._value():
            self._set(value)

    def problem(self) -> str:
        """Return what is wrong with the value in words, or nothing."""
        setting = self.setting
        text = self.value()
        if setting.required and not str(text).strip():
            return self.tr("{setting} must be filled in.").format(setting=words.engine_text(setting.label))
        if setting.kind == "labels" and str(text).strip():
            return _refusal(lambda: parse_labels(str(text)))
        if setting.kind == "fields" and str(text).strip():
            return _refusal(lambda: parse_fields(str(text)))
        if setting.kind == "questions" and str(text).strip():
            return _refusal(lambda: parse_questions(str(text)))
        if setting.fields:
            return _refusal(lambda: PromptFormat(str(text), setting.fields, words.engine_text(setting.label)))
        return ""

    def show_problem(self, text: str) -> None:
        """Show what is wrong below the editor, or nothing."""
        self._problem.setText(text)
        self._problem.setVisible(bool(text))


def _refusal(check: Callable[[], object]) -> str:
    """Return what the engine's own check says of a value, or nothing."""
    try:
        check()
    except UsageError as error:
        return words.engine_text(str(error))
    return ""


class TaskForm(QWidget):
    """All settings of one task. ``changed`` comes shortly after the last change."""

    changed = Signal()

    def __init__(self, spec: TaskSpec, values: dict[str, Any]) -> None:
        """Show ``values``, and the defaults for what they leave out."""
        super().__init__()
        self.spec = spec
        self.fields = {setting.name: Field(setting) for setting in spec.settings}
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(10)
        self._delay = QTimer(self)
        self._delay.setSingleShot(True)
        self._delay.setInterval(150)
        self._delay.timeout.connect(self._settle)
        # What has to be filled in comes first; the rest has sensible defaults.
        self.in_order = sorted(self.fields.values(), key=lambda field: not field.setting.required)
        for field in self.in_order:
            column.addWidget(field)
            field.changed.connect(self._delay.start)
        column.addStretch(1)  # fields stay together in a tall window
        # What must be filled in starts with something that works; what was cleared is not taken for a wish.
        self.set_values({s.name: s.example for s in spec.settings if s.example})
        self.set_values(
            {n: v for n, v in values.items() if v or not (n in self.fields and self.fields[n].setting.example)}
        )

    def values(self) -> dict[str, Any]:
        """Return the settings by name."""
        return {name: field.value() for name, field in self.fields.items()}

    def set_values(self, values: dict[str, Any]) -> None:
        """Show ``values``; settings that they do not name stay as they are."""
        for name, value in values.items():
            if name in self.fields:
                self.fields[name].set_value(value)

    def problems(self) -> list[str]:
        """Return what is wrong, one sentence a setting."""
        return [text for field in self.fields.values() if (text := field.problem())]

    def show_problems(self) -> None:
        """Mark what is wrong; before the first change an empty form is not scolded."""
        for field in self.fields.values():
            field.show_problem(field.problem())

    def _settle(self) -> None:
        self.show_problems()
        self.changed.emit()

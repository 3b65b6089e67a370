"""The model: which one, whether it is ready, what it is, and whether it fits."""

from __future__ import annotations

import os
from dataclasses import replace

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QStandardItem, QStandardItemModel
from PySide6.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from engine.api import DTYPES, WRITERS_ONLY, ModelFacts, ModelState, Reply, restore
from engine.api.footprint import WORKING, footprint
from gui import words
from gui.dialogs.choosing import choose_files, choose_folder
from gui.escape import shown
from gui.model_loader import STARTER, SUPPLIED
from gui.session import Session
from gui.theme import Theme
from gui.widgets.facts import FactList
from gui.widgets.labels import ElidedLabel, wrapped

STATUS = {"none": "model", "loading": "loading", "ready": "done", "failed": "failed"}
"""Icon of each state of a model."""

_ROLE = {"none": "muted", "loading": "accent", "ready": "done", "failed": "error"}


def status_icon_role(status: str) -> tuple[str, str]:
    """Return icon name and colour role of a model's state."""
    return STATUS.get(status, "model"), _ROLE.get(status, "muted")


class ModelPanel(QWidget):
    """Chooses, opens, cancels and unloads a model. ``summed`` says in a line, and as an icon, which one and how it is."""

    summed = Signal(str, object)

    def __init__(self, session: Session, theme: Theme, parent: QWidget | None = None) -> None:
        """Show the model of ``session``."""
        super().__init__(parent)
        self._session, self._theme = session, theme
        self._status = ""
        self._items = QStandardItemModel(self)
        self.choice = QComboBox()
        self.choice.setModel(self._items)
        self.choice.setAccessibleName(self.tr("Model"))
        self.choice.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.choice.setMinimumContentsLength(12)
        self.choice.activated.connect(self._choose)
        self.choice.highlighted.connect(self._weigh)
        self._seen: ModelFacts | None = None
        self.refresh = self._tool(self.tr("Look for models again"))
        self.refresh.clicked.connect(session.loader.refresh)
        self.open = self._tool(self.tr("Open a model folder…"))
        self.open.clicked.connect(self.choose_folder)
        top = QHBoxLayout()
        top.setSpacing(4)
        top.addWidget(self.choice, 1)
        self.open_file = self._tool(self.tr("Open a model file (GGUF)…"))
        self.open_file.clicked.connect(self.choose_file)
        top.addWidget(self.open)
        top.addWidget(self.open_file)
        top.addWidget(self.refresh)

        self._icon = QLabel()
        self._word = ElidedLabel()
        self._word.setProperty("look", "strong")
        self.unload = QPushButton(self.tr("&Unload"))
        self.unload.setToolTip(self.tr("Unload the model and give its memory back"))
        self.unload.clicked.connect(session.loader.close)
        self.cancel = QPushButton(self.tr("&Cancel"))
        self.cancel.setToolTip(self.tr("Stop loading"))
        self.cancel.clicked.connect(session.loader.cancel)
        state = QHBoxLayout()
        state.setSpacing(8)
        state.addWidget(self._icon)
        state.addWidget(self._word, 1)
        state.addWidget(self.unload)
        state.addWidget(self.cancel)
        self.progress = QProgressBar()
        self.progress.setTextVisible(False)
        self.progress.setFixedHeight(6)
        self.progress.setRange(0, 1000)
        self.progress.setAccessibleName(self.tr("Loading progress"))
        self._message = wrapped(look="muted")
        self.facts = FactList()

        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 2, 8, 8)
        layout.setSpacing(8)
        layout.addLayout(top)
        layout.addLayout(state)
        layout.addWidget(self.progress)
        layout.addWidget(self._message)
        layout.addWidget(self.facts)
        layout.addStretch(1)

        session.models_changed.connect(self._list)
        session.model_changed.connect(self.apply)
        theme.changed.connect(self._dress)
        self._dress()
        self._list()

    def _tool(self, text: str) -> QToolButton:
        button = QToolButton()
        button.setToolTip(text)
        button.setAccessibleName(text)
        button.setIconSize(QSize(16, 16))
        return button

    def _dress(self) -> None:
        self.refresh.setIcon(self._theme.icon("refresh"))
        self.open.setIcon(self._theme.icon("open-folder"))
        self.open_file.setIcon(self._theme.icon("document"))
        self._status = ""
        self.apply()

    # ------------------------------------------------------------------------------------------------------------ choosing
    def _list(self) -> None:
        """Fill the list with what the engine found; a model that cannot be used is grey and says why."""
        self.refresh.setEnabled(not self._session.loader.listing)
        self._items.clear()
        for facts in self._session.models:
            item = QStandardItem(self._name(facts))
            item.setData(facts.folder, Qt.ItemDataRole.UserRole)
            item.setToolTip(self._tip(facts))
            item.setEnabled(facts.usable)
            if not facts.usable:
                item.setIcon(self._theme.icon("warning", "warning"))
                item.setData("; ".join(facts.problems), Qt.ItemDataRole.AccessibleDescriptionRole)
            self._items.appendRow(item)
        self._show_choice()

    def _name(self, facts: ModelFacts) -> str:
        if not facts.source or facts.source in SUPPLIED:
            return shown(facts.name)
        source = words.engine_text(facts.source)
        return self.tr("{name} ({source})").format(name=shown(facts.name), source=source)

    def _tip(self, facts: ModelFacts) -> str:
        """Return where the model is, what is wrong with it, and whether it fits, as rich text that escapes it all."""
        lines = [shown(facts.folder), *map(words.engine_text, facts.problems or facts.warnings)]
        if facts.usable and facts.memory:
            lines.append(self._memory(min(facts.memory.values()), used=False))
        escaped = "<br>".join(line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") for line in lines)
        return f"<span>{escaped}</span>"

    def _show_choice(self) -> None:
        """Select the model that is open, adding it to the list when nobody found it there."""
        model = self._session.model
        wanted = model.folder
        if not wanted or wanted in SUPPLIED:
            row = next((i for i, facts in enumerate(self._session.models) if facts.source == wanted), -1)
        else:
            row = self.choice.findData(wanted)
            if row < 0:
                item = QStandardItem(shown(model.name or wanted))
                item.setData(wanted, Qt.ItemDataRole.UserRole)
                self._items.appendRow(item)
                row = self._items.rowCount() - 1
        if self.choice.currentIndex() != row:
            self.choice.setCurrentIndex(row)
        self.choice.setPlaceholderText(self.tr("Starter model") if wanted == STARTER else self.tr("Choose a model"))

    def _weigh(self, row: int) -> None:
        """Show what the model under the cursor is and whether it fits, before it is chosen and loaded."""
        folder = self.choice.itemData(row)
        self._seen = next((facts for facts in self._session.models if facts.folder == folder), None)
        if self._seen is not None and self._seen.usable and folder != self._session.model.folder:
            self.facts.set_lines(self._before(self._seen))
        else:
            self.apply()

    def _before(self, facts: ModelFacts) -> list[tuple[str, str]]:
        """Return what is known of a model that is not open: what it is, and the memory it would take in each format."""
        session = self._session
        count = self.tr("{n} parameters").format(n=words.parameter_count(facts.parameters))
        lines = [(self.tr("Model"), shown(facts.name)), (self.tr("Family"), f"{facts.family}, {count}")]
        hello, free = session.machine_hello, session.meters.memory_available
        if hello is None or not free or not facts.parameters:
            return lines
        if session.model.status == "ready":
            free += session.model.bytes + session.meters.kv_bytes + WORKING
        plan = session.plan
        default = hello.machine.default_plan
        formats = DTYPES[1:] if facts.writes else tuple(d for d in DTYPES[1:] if d not in WRITERS_ONLY)
        for dtype in formats:
            wanted = replace(plan, workers=plan.workers or default.workers, dtype=dtype, device="cpu")
            need = footprint(facts, wanted, free, auto=default.dtype)
            text = (
                self.tr("{need}, {free} free: fits") if need.loads else self.tr("{need}, only {free} free: too large")
            )
            size = words.data_size(need.weights + need.working)
            if need.kv:
                size = self.tr("{size} and {kept} for texts").format(size=size, kept=words.data_size(need.kv))
            lines.append((dtype, text.format(need=size, free=words.data_size(free))))
        return lines

    def _choose(self, row: int) -> None:
        folder = self.choice.itemData(row)
        if folder and (folder != self._session.model.folder or self._session.model.status != "ready"):
            self._session.loader.open(folder)

    def choose_folder(self) -> None:
        """Ask for a model folder, look into it, and open it if it can be used."""
        last = self._session.settings.text("last_model_folder")
        choose_folder(self, self.tr("Open a model folder"), last, self.try_folder)

    def choose_file(self) -> None:
        """Ask for a GGUF file, look into it, and open it if it can be used."""
        last = self._session.settings.text("last_model_folder")
        kinds = (self.tr("Models (*.gguf)"), self.tr("All files (*)"))
        choose_files(self, self.tr("Open a model file"), last, kinds, lambda paths: self.try_folder(paths[0]))

    def try_folder(self, folder: str) -> None:
        """Open the model in ``folder``, or look for models below it when it is none itself; a GGUF file is a model too."""
        is_file = os.path.isfile(folder)
        self._session.settings.set_text("last_model_folder", os.path.dirname(folder) if is_file else folder)

        def checked(reply: Reply) -> None:
            facts = restore(ModelFacts, reply.value["facts"]) if reply.ok else None
            if facts is not None and facts.usable:
                self._session.loader.open(facts.folder)
                return
            problems = list(facts.problems) if facts is not None else [reply.error]
            self._session.notice("warning", " ".join(map(words.engine_text, problems)), "model")
            if not is_file:
                self._session.settings.remember_first("model_folders", folder)
            self._session.loader.refresh()

        self._session.loader.check(folder, checked)

    # ------------------------------------------------------------------------------------------------------------- showing
    def apply(self) -> None:
        """Show the model's state."""
        model = self._session.model
        loading = model.status == "loading"
        if model.status != self._status:
            self._status = model.status
            icon = self._theme.icon(*status_icon_role(model.status))
            self._icon.setPixmap(icon.pixmap(QSize(18, 18), self.devicePixelRatio()))
        self._word.setText(words.model_status(model.status, model.progress))
        self.unload.setVisible(model.status == "ready")
        self.cancel.setVisible(loading)
        self.progress.setVisible(loading)
        self.progress.setValue(round(model.progress * 1000))
        text = words.engine_text(model.stage) if loading else words.engine_text(model.message)
        self._message.setText(shown(text))
        self._message.setVisible(bool(text))
        self.facts.set_lines(self._lines(model) if model.status in ("ready", "loading") else [])
        self._show_choice()
        self._sum_up()

    def _sum_up(self) -> None:
        """Say in a line which model is open and how it is."""
        model = self._session.model
        word = words.model_status(model.status, model.progress)
        facts = self._listed(model.folder)
        name = facts.name if facts is not None else model.name
        for source in SUPPLIED:
            name = name.removesuffix(f" ({source})")  # the task says what it is for
        text = (
            self.tr("{model}, {state}").format(model=shown(name), state=word[:1].lower() + word[1:]) if name else word
        )
        self.summed.emit(text, self._theme.icon(*status_icon_role(model.status)))

    def _lines(self, model: ModelState) -> list[tuple[str, str]]:
        """Return the facts worth a line, as (what, value)."""
        ready = model.status == "ready"
        facts = self._session.facts if ready else self._listed(model.folder)
        lines: list[tuple[str, str]] = []
        family = facts.family if facts is not None else ""
        parameters = model.parameters or (facts.parameters if facts is not None else 0)
        if parameters:
            count = self.tr("{n} parameters").format(n=words.parameter_count(parameters))
            lines.append((self.tr("Family"), f"{family}, {count}" if family else count))
        if model.max_tokens:
            tokens, dimension = words.number(model.max_tokens), words.number(model.dimension)
            text = (
                self.tr("{tokens} tokens, gives {dimension} numbers") if model.dimension else self.tr("{tokens} tokens")
            )
            lines.append((self.tr("Reads"), text.format(tokens=tokens, dimension=dimension)))
        if ready and model.bytes:
            lines.append((self.tr("Memory"), self._memory(model.bytes, used=True)))
        elif facts is not None and facts.memory:
            lines.append((self.tr("Memory"), self._memory(min(facts.memory.values()), used=False)))
        if model.engine_mode:
            mode = words.engine_text(model.engine_mode)
            note = words.engine_text(model.note)
            how = self.tr("{mode}, {dtype}").format(mode=mode, dtype=model.dtype)
            text = self.tr("{how}: {why}").format(how=how, why=note) if note else how
            lines.append((self.tr("Runs"), text))
        return lines

    def _listed(self, folder: str) -> ModelFacts | None:
        return next((facts for facts in self._session.models if folder in (facts.folder, facts.source)), None)

    def _memory(self, need: int, *, used: bool) -> str:
        free = self._session.meters.memory_available
        if not free:
            return words.data_size(need)
        if used:
            text = self.tr("{need} in use, {free} free")
        elif need <= free:
            text = self.tr("needs {need}, {free} free: fits")
        else:
            text = self.tr("needs {need}, only {free} free: too large")
        return text.format(need=words.data_size(need), free=words.data_size(free))

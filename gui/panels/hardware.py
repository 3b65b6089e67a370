"""The hardware: on which device, with how many workers, threads and slots, in which number format, and what it takes."""

from __future__ import annotations

from dataclasses import replace

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QStandardItemModel
from PySide6.QtWidgets import QComboBox, QFormLayout, QHBoxLayout, QLabel, QSpinBox, QVBoxLayout, QWidget

from engine.api import DTYPES, QUANTISED, WRITERS_ONLY, Plan, Setting, settings_in
from engine.api.footprint import SLOTS, TOKENS, WORKING, Footprint, footprint
from gui import words
from gui.escape import shown
from gui.session import Session
from gui.widgets.labels import wrapped


class HardwarePanel(QWidget):
    """Edits the plan; 0 workers or threads leave the choice to the engine, which then tells what it chose.

    ``summed`` says the plan in a line, and whether something is wrong with it.
    """

    summed = Signal(str, bool)

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        """Show the plan of ``session``."""
        super().__init__(parent)
        self._session = session
        self.device = QComboBox()
        self.device.setAccessibleName(self.tr("Device"))
        self.device.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.device.setMinimumContentsLength(8)
        limits = {setting.name: setting for setting in settings_in(Plan)}
        self.workers = self._spin(limits["workers"], self.tr("Workers"), words.tip("workers"))
        self.threads = self._spin(limits["threads"], self.tr("Threads per worker"), words.tip("threads"))
        self.slots = self._spin(limits["slots"], self.tr("Slots per worker"), words.tip("slots"))
        self.dtype = QComboBox()
        self.dtype.setAccessibleName(self.tr("Number format"))
        self.dtype.setToolTip(words.tip("formats"))
        self.dtype.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        for row, name in enumerate(DTYPES):
            self.dtype.addItem(words.engine_text(name) if name == "auto" else name, name)
            self.dtype.setItemData(row, words.number_format(name), Qt.ItemDataRole.ToolTipRole)
        self._line = wrapped(look="muted")
        self.warning = wrapped(look="warning")
        self.warning.hide()
        self.memory = wrapped(look="muted")
        self._tokens = TOKENS
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.setHorizontalSpacing(12)
        form.setVerticalSpacing(6)
        form.setLabelAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        form.addRow(self.tr("&Device"), self.device)
        times = QLabel(self.tr("×"))
        times.setProperty("look", "muted")
        both = QHBoxLayout()
        both.setSpacing(6)
        both.addWidget(self.workers, 1)
        both.addWidget(times)
        both.addWidget(self.threads, 1)
        workers = QLabel(self.tr("&Workers × threads"))
        workers.setBuddy(self.workers)
        workers.setToolTip(words.tip("workers"))
        form.addRow(workers, both)
        form.addRow(self.tr("&Slots per worker"), self.slots)
        form.addRow(self.tr("&Numbers"), self.dtype)
        for field in (self.slots, self.dtype):
            form.labelForField(field).setToolTip(field.toolTip())
        self._form = form
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 2, 8, 8)
        layout.setSpacing(8)
        layout.addLayout(form)
        layout.addWidget(self.warning)
        layout.addWidget(self._line)
        layout.addWidget(self.memory)
        layout.addStretch(1)
        # Holding an arrow of a spin box changes the plan once, at the end: workers are real threads.
        self._delay = QTimer(self)
        self._delay.setSingleShot(True)
        self._delay.setInterval(400)
        self._delay.timeout.connect(self._send)
        self._show_plan(session.plan)
        for combo in (self.device, self.dtype):
            combo.activated.connect(self._send)
        for spin in (self.workers, self.threads, self.slots):
            spin.valueChanged.connect(lambda _value: self._delay.start())
            spin.valueChanged.connect(lambda _value: self._weigh())
            spin.valueChanged.connect(lambda _value: self._warn())
        self.device.currentIndexChanged.connect(lambda _row: self._offer_formats())
        self.device.currentIndexChanged.connect(lambda _row: self._warn())
        self.dtype.currentIndexChanged.connect(lambda _row: self._weigh())
        session.hello.connect(self._offer)
        session.model_changed.connect(self.apply)

    def _spin(self, setting: Setting, name: str, tip: str) -> QSpinBox:
        spin = QSpinBox()
        spin.setRange(int(setting.minimum or 0), int(setting.maximum or 0))
        spin.setSpecialValueText(self.tr("auto"))
        spin.setAccessibleName(name)
        spin.setToolTip(tip)
        return spin

    def _offer(self) -> None:
        """List the devices that the engine found."""
        hello = self._session.machine_hello
        if hello is None:
            return
        cores = hello.machine.cores
        self.device.clear()
        for device in hello.machine.devices:
            name = self.tr("{name} ({memory})").format(
                name=shown(device.name), memory=words.data_size(device.memory_total)
            )
            self.device.addItem(name, device.id)
        self.device.setCurrentIndex(max(0, self.device.findData(self._session.plan.device)))
        for spin in (self.workers, self.threads):
            spin.setMaximum(max(64, 4 * cores))
        self.apply()

    def _show_plan(self, plan: Plan) -> None:
        self.workers.setValue(plan.workers)
        self.threads.setValue(plan.threads)
        self.slots.setValue(plan.slots)
        self.dtype.setCurrentIndex(max(0, self.dtype.findData(plan.dtype)))

    def _chosen(self) -> Plan:
        """Return the plan as it is set here; a number format that the device does not take becomes auto."""
        device = self.device.currentData() or self._session.plan.device
        dtype = self.dtype.currentData()
        if dtype in QUANTISED and device != "cpu":
            dtype = "auto"
        return Plan(device, self.workers.value(), self.threads.value(), dtype, self.slots.value())

    def _send(self) -> None:
        plan = self._chosen()
        if plan.dtype != self.dtype.currentData():
            self.dtype.setCurrentIndex(self.dtype.findData(plan.dtype))
        self._session.loader.set_plan(plan)
        self.apply()

    def _offer_formats(self) -> None:
        """Offer the packed integers only where the model and the device take them."""
        facts = self._session.facts
        encoder = facts is not None and not self._session.writes
        on_cpu = (self.device.currentData() or "cpu") == "cpu"
        model = self.dtype.model()
        for row in range(self.dtype.count()):
            item = model.item(row) if isinstance(model, QStandardItemModel) else None
            if item is None or self.dtype.itemData(row) not in QUANTISED:
                continue
            why = ""
            if encoder and self.dtype.itemData(row) in WRITERS_ONLY:
                why = self.tr("Only models that write text take this format.")
            elif not on_cpu:
                why = self.tr("This format runs on the CPU only.")
            item.setEnabled(not why)
            item.setToolTip(why or words.number_format(self.dtype.itemData(row)))

    def _warn(self) -> None:
        """Say so when workers and threads ask for more cores than there are: they would wait for each other."""
        hello, chosen, used = self._session.machine_hello, self._chosen(), self._session.plan_in_use
        if hello is None or chosen.device != "cpu":
            self.warning.hide()
            return
        cores, default = hello.machine.cores, hello.machine.default_plan
        workers = chosen.workers or used.workers or default.workers
        # Threads that are left to the engine are as many as the workers leave cores for.
        wanted = workers * max(1, chosen.threads)
        self.warning.setVisible(wanted > cores and bool(chosen.workers or chosen.threads))
        text = self.tr(
            "This asks for {wanted} cores, and the machine has {cores}: they will take turns, which is slower."
        )
        self.warning.setText(text.format(wanted=words.number(wanted), cores=words.number(cores)))
        self._sum_up()

    def set_tokens(self, tokens: int) -> None:
        """Say how many tokens prompt and answer of one text may come to, for the estimate; 0 when unknown."""
        self._tokens = tokens or TOKENS
        self._weigh()

    def _weigh(self) -> None:
        """Say what model and plan take of the memory; what is in use now by the same model would be given back."""
        session = self._session
        facts, hello, free = session.facts, session.machine_hello, session.meters.memory_available
        if facts is None or hello is None or not free or not facts.parameters or self._chosen().device != "cpu":
            self.memory.hide()
            return
        chosen, used = self._chosen(), session.plan_in_use
        plan = replace(
            chosen,
            workers=chosen.workers or used.workers or hello.machine.default_plan.workers,
            dtype=hello.machine.default_plan.dtype if chosen.dtype == "auto" else chosen.dtype,
        )
        if session.model.status == "ready":
            free += session.model.bytes + session.meters.kv_bytes + WORKING
        need = footprint(facts, plan, free, self._tokens, auto=hello.machine.default_plan.dtype)
        text, problem = self.sentence(need)
        look = "problem" if problem else "muted"
        if self.memory.property("look") != look:
            self.memory.setProperty("look", look)
            self.memory.style().polish(self.memory)
        self.memory.setText(text)
        self.memory.show()
        self._sum_up()

    def sentence(self, need: Footprint) -> tuple[str, bool]:
        """Return an estimate of the memory in words, and whether it is a warning."""
        weights, kept = words.data_size(need.weights), words.data_size(need.kv)
        said = self.tr("Memory: {weights} weights as {dtype}").format(weights=weights, dtype=need.dtype)
        if need.sequences:
            said += ", " + self.tr("up to {kept} for {texts} texts of {tokens} tokens").format(
                kept=kept, texts=words.number(need.sequences), tokens=words.number(need.tokens)
            )
        said += self.tr("; {free} free.").format(free=words.data_size(need.free))
        if not need.loads:
            return said + " " + self.tr("This will not fit: choose a smaller model or format."), True
        if not need.all_slots:
            return said + " " + self.tr("Not all slots will fit at once: some will wait for memory."), False
        return said, False

    def _take_back(self) -> None:
        """Show the plan of the session again: the engine refused the one that was chosen here."""
        for spin in (self.workers, self.threads, self.slots):
            spin.blockSignals(True)
        self._show_plan(self._session.plan)
        self.device.setCurrentIndex(max(0, self.device.findData(self._session.plan.device)))
        for spin in (self.workers, self.threads, self.slots):
            spin.blockSignals(False)

    def _show_slots(self) -> None:
        """Only models that write have slots."""
        facts = self._session.facts
        shown = facts is None or self._session.writes
        self._form.setRowVisible(self.slots, shown)

    def _sum_up(self) -> None:
        """Say the plan in a line: what works on what, and what is wrong with it."""
        used, hello = self._session.plan_in_use, self._session.machine_hello
        if hello is None or not used.workers:
            self.summed.emit(self.tr("The engine is getting ready."), False)
            return
        workers = self.tr("%Ln workers", "", used.workers)
        where = self.tr("%Ln cores", "", hello.machine.cores) if used.device == "cpu" else used.device
        problems = {
            self.tr("too many"): not self.warning.isHidden(),
            self.tr("not enough memory"): not self.memory.isHidden() and self.memory.property("look") == "problem",
        }
        wrong = next((what for what, is_so in problems.items() if is_so), "")
        text = self.tr("{workers} on {where}, {how}") if wrong else self.tr("{workers} on {where}")
        self.summed.emit(text.format(workers=workers, where=where, how=wrong), bool(wrong))

    def apply(self) -> None:
        """Explain the plan that is in use, and name it where the choice is the engine's."""
        if self._session.plan != self._chosen() and not self._delay.isActive():
            self._take_back()
        self._show_slots()
        self._offer_formats()
        self._weigh()
        self._warn()
        self._sum_up()
        used = self._session.plan_in_use
        hello = self._session.machine_hello
        default = hello.machine.default_plan if hello is not None else Plan()
        for spin, chosen in (
            (self.workers, used.workers or default.workers),
            (self.threads, used.threads or default.threads),
            (self.slots, used.slots or SLOTS),
        ):
            text = (
                self.tr("auto ({n})").format(n=words.number(chosen)) if chosen and not spin.value() else self.tr("auto")
            )
            if spin.specialValueText() != text:
                spin.setSpecialValueText(text)
        if hello is None or not used.workers:
            self._line.setText(self.tr("The engine is getting ready."))
            return
        workers = self.tr("%Ln workers", "", used.workers)
        threads = self.tr("%Ln threads", "", used.threads or 1)
        if used.device == "cpu":
            cores = self.tr("%Ln cores", "", hello.machine.cores)
            text = self.tr("{workers} × {threads} on {cores}, {dtype}")
        else:
            cores = used.device
            text = self.tr("{workers} on {cores}, {dtype}")
        text = text.format(workers=workers, threads=threads, cores=cores, dtype=used.dtype)
        if self._session.writes:
            text += ", " + self.tr("%Ln slots each", "", used.slots or SLOTS)
        self._line.setText(
            self.tr("In use: {plan}. {format}").format(plan=text, format=words.number_format(used.dtype))
        )
        self._line.setToolTip(
            self.tr("Processor instructions: {name}").format(name=hello.machine.instruction_set)
            if hello.machine.instruction_set
            else ""
        )

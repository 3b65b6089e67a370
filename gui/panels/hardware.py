"""The hardware: on which device, with how many lanes and threads, in which number format."""

from __future__ import annotations

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QComboBox, QFormLayout, QHBoxLayout, QLabel, QSpinBox, QVBoxLayout, QWidget

from engine.lanes.plan import DTYPES, Plan
from gui import words
from gui.escape import shown
from gui.session import Session
from gui.widgets.labels import wrapped


class HardwarePanel(QWidget):
    """Edits the plan; 0 lanes or threads leave the choice to the engine, which then tells what it chose."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        """Show the plan of ``session``."""
        super().__init__(parent)
        self._session = session
        self.device = QComboBox()
        self.device.setAccessibleName(self.tr("Device"))
        self.device.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.device.setMinimumContentsLength(8)
        self.lanes = self._spin(self.tr("Lanes"), self.tr("Worker threads that each run batches of their own"))
        self.threads = self._spin(self.tr("Threads per lane"), self.tr("Cores that one lane's matrix products share"))
        self.dtype = QComboBox()
        self.dtype.setAccessibleName(self.tr("Number format"))
        self.dtype.setToolTip(self.tr("Number format of the weights; auto takes what this machine is fastest with"))
        for name in DTYPES:
            self.dtype.addItem(words.engine_text(name) if name == "auto" else name, name)
        self._line = wrapped(look="muted")
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.setHorizontalSpacing(12)
        form.setVerticalSpacing(6)
        form.addRow(self.tr("&Device"), self.device)
        times = QLabel(self.tr("×"))
        times.setProperty("look", "muted")
        both = QHBoxLayout()
        both.setSpacing(6)
        both.addWidget(self.lanes, 1)
        both.addWidget(times)
        both.addWidget(self.threads, 1)
        lanes = QLabel(self.tr("&Lanes × threads"))
        lanes.setBuddy(self.lanes)
        form.addRow(lanes, both)
        form.addRow(self.tr("&Numbers"), self.dtype)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 2, 8, 8)
        layout.setSpacing(8)
        layout.addLayout(form)
        layout.addWidget(self._line)
        layout.addStretch(1)
        # Holding an arrow of a spin box changes the plan once, at the end: lanes are real threads.
        self._delay = QTimer(self)
        self._delay.setSingleShot(True)
        self._delay.setInterval(400)
        self._delay.timeout.connect(self._send)
        self._show_plan(session.plan)
        for combo in (self.device, self.dtype):
            combo.activated.connect(self._send)
        for spin in (self.lanes, self.threads):
            spin.valueChanged.connect(lambda _value: self._delay.start())
        session.hello.connect(self._offer)
        session.model_changed.connect(self.apply)

    def _spin(self, name: str, tip: str) -> QSpinBox:
        spin = QSpinBox()
        spin.setRange(0, 256)
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
        for spin in (self.lanes, self.threads):
            spin.setMaximum(max(64, 4 * cores))
        self.apply()

    def _show_plan(self, plan: Plan) -> None:
        self.lanes.setValue(plan.lanes)
        self.threads.setValue(plan.threads)
        self.dtype.setCurrentIndex(max(0, self.dtype.findData(plan.dtype)))

    def _send(self) -> None:
        device = self.device.currentData() or self._session.plan.device
        self._session.set_plan(Plan(device, self.lanes.value(), self.threads.value(), self.dtype.currentData()))
        self.apply()

    def apply(self) -> None:
        """Explain the plan that is in use, and name it where the choice is the engine's."""
        used = self._session.plan_in_use
        hello = self._session.machine_hello
        default = hello.machine.default_plan if hello is not None else Plan()
        for spin, chosen in (
            (self.lanes, used.lanes or default.lanes),
            (self.threads, used.threads or default.threads),
        ):
            text = (
                self.tr("auto ({n})").format(n=words.number(chosen)) if chosen and not spin.value() else self.tr("auto")
            )
            if spin.specialValueText() != text:
                spin.setSpecialValueText(text)
        if hello is None or not used.lanes:
            self._line.setText(self.tr("The engine is getting ready."))
            return
        lanes = self.tr("%Ln lanes", "", used.lanes)
        threads = self.tr("%Ln threads", "", used.threads or 1)
        if used.device == "cpu":
            cores = self.tr("%Ln cores", "", hello.machine.cores)
            text = self.tr("{lanes} × {threads} on {cores}, {dtype}")
        else:
            cores = used.device
            text = self.tr("{lanes} on {cores}, {dtype}")
        self._line.setText(text.format(lanes=lanes, threads=threads, cores=cores, dtype=used.dtype))
        self._line.setToolTip(
            self.tr("Processor instructions: {name}").format(name=hello.machine.instruction_set)
            if hello.machine.instruction_set
            else ""
        )

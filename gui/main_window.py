"""The main window: puts the panels together and tells actions from each other."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QEvent, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QCloseEvent, QGuiApplication
from PySide6.QtWidgets import QMainWindow, QWidget

from engine.api import Snapshot
from gui import progress, words
from gui.actions import Actions
from gui.adding import Adder
from gui.allowed import Allowed
from gui.awake import Awake
from gui.closing import Closing, question
from gui.dialogs.opener import Dialogs
from gui.escape import shown
from gui.job_commands import JobCommands
from gui.job_list import JobList
from gui.layout import Layout
from gui.notify import Notifier
from gui.panels.hardware import HardwarePanel
from gui.panels.model import ModelPanel
from gui.panels.pile import PilePanel
from gui.panels.result import ResultPanel
from gui.panels.task import TaskPanel
from gui.previewer import Previewer
from gui.session import Session
from gui.settings import Settings
from gui.stale import Stale
from gui.starting import Starter
from gui.status_line import StatusLine
from gui.supplied import SuppliedModels
from gui.tab_order import lead_tabs
from gui.text_column import TextColumn
from gui.theme import Theme
from gui.toolbar import Toolbar
from gui.undo import Undo
from gui.widgets.message_bar import MessageBar
from gui.widgets.welcome import Welcome
from gui.widgets.wheel import scroll_past
from gui.window_drops import WindowDrops

TICK = 100
"""Milliseconds between two looks at what the engine sent."""

TEXT_TICKS = 5
"""Ticks between two changes of text (law 1: text at 1-2 Hz)."""


class MainWindow(QMainWindow):
    """Heddle's window. ``shown_first`` comes once, when it has been painted; ``closed`` when no engine is left."""

    shown_first = Signal()
    closed = Signal()

    def __init__(self, session: Session, theme: Theme, settings: Settings) -> None:
        """Build the window around ``session``; nothing is started."""
        super().__init__()
        self.session, self._theme, self._settings = session, theme, settings
        self.setObjectName("main")
        self.setWindowTitle(self.tr("Heddle"))
        self.setAcceptDrops(True)
        self.setMinimumSize(QSize(880, 500))
        self.actions_ = Actions(self, theme)
        self.model_panel = ModelPanel(session, theme)
        self.task_panel = TaskPanel(session)
        self.hardware_panel = HardwarePanel(session)
        for panel in (self.model_panel, self.task_panel, self.hardware_panel):
            scroll_past(panel)
        a = self.actions_
        self.welcome = Welcome(theme, a.add_files, a.add_folder, a.sample)
        self.pile_panel = PilePanel(session, theme, self.welcome)
        self.previewer = Previewer(session, self.task_panel, self)
        self.result_panel = ResultPanel(session, theme, self.task_panel, self.previewer)
        self.messages = MessageBar(theme)
        self.status = StatusLine(theme)
        self.setStatusBar(self.status)
        self.toolbar = Toolbar(a, session, theme)
        self.addToolBar(Qt.ToolBarArea.TopToolBarArea, self.toolbar)
        self.arrangement = Layout(
            self,
            theme,
            settings,
            header=self.messages,
            pile=self.pile_panel,
            result=self.result_panel,
            model=self.model_panel,
            task=self.task_panel,
            hardware=self.hardware_panel,
        )
        a.fill_menus(self.arrangement.toggles)
        self.supplied = SuppliedModels(session, self.task_panel, self)
        self.adder = Adder(session, self.task_panel, self)
        self.drops = WindowDrops(self, theme, self.arrangement.docks["model"], self.adder, self.model_panel)
        self.awake = Awake(self)
        self.notifier = Notifier(self)
        self.stale = Stale(session, self)
        self.closing = Closing(session, self)
        self.job_list = JobList(session, self)
        self.undo = Undo(session, self.job_list, self)
        self.commands = JobCommands(self.job_list, session, self.task_panel, self)
        self.starter = Starter(session, self.job_list, self.task_panel, self._show_task, self)
        self.commands.start, self.commands.export = self.starter.run_again, self.export
        self.commands.go_on = self.starter.resume
        self.dialogs = Dialogs(session, self.commands, theme, self)
        self.text_column = TextColumn(session, self)
        self._row_actions = [a.run_first, a.retry_selected, a.remove_selected, a.text_column, a.copy_rows, a.copy_paths]
        self.allowed = Allowed(
            a,
            self._row_actions,
            session,
            task=self.task_panel,
            pile=self.pile_panel,
            result=self.result_panel,
            previewer=self.previewer,
            job_list=self.job_list,
            undo=self.undo,
        )
        self.live: QWidget | None = None
        self._ticks = 0
        self._painted = False
        self._connect()
        self.arrangement.restore()
        self.model_panel.apply()
        self.hardware_panel.apply()
        self._order_tabs()
        self.pile_panel.setFocus()
        self._timer = QTimer(self)
        self._timer.setInterval(TICK)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._tick)
        self._timer.start()
        self.refresh()

    def _connect(self) -> None:
        a, session = self.actions_, self.session
        for action, does in (
            (a.add_files, self.adder.files),
            (a.add_folder, self.adder.folder),
            (a.sample, self.adder.sample),
            (a.new_pile, session.commands.new_pile),
            (a.next_pile, self._next_pile),
            (a.export, self.export),
            (a.close, self.close),
            (a.start, self.start),
            (a.run_again, self.starter.run_again),
            (a.pause, self._pause_or_resume),
            (a.stop, session.commands.stop),
            (a.show_prompt, lambda: self._in_table(self.result_panel.show_prompt)),
            (a.try_on, lambda: self._in_table(self.result_panel.show_trial)),
            (a.table_view, lambda: self.arrangement.views.show_page(0)),
            (a.live_view, lambda: self.arrangement.views.show_page(1)),
            (a.retry_failed, session.commands.retry),
            (a.retry_selected, lambda: session.commands.retry(self.pile_panel.selected)),
            (a.remove_selected, lambda: session.commands.remove(self.pile_panel.selected)),
            (a.text_column, lambda: self.text_column.choose(self.result_panel.document)),
            (a.clear, self._clear),
            (a.copy_rows, self.pile_panel.copy_rows),
            (a.copy_paths, self._copy_paths),
            (a.start_engine, session.client.start),
            (a.find, lambda: self._in_table(self.pile_panel.go_to_search)),
            (a.reset_layout, self.arrangement.reset),
            (a.log, self.dialogs.log),
            (a.report, self.dialogs.report),
            (a.about, self.dialogs.about),
            (a.jobs, self.dialogs.jobs),
            (a.run_first, lambda: session.commands.run_first(self.pile_panel.selected)),
            (a.undo, self.undo.undo),
        ):
            action.triggered.connect(lambda _checked=False, does=does: does())
        for action, does in (
            (a.rename, self.commands.rename),
            (a.duplicate, self.commands.duplicate),
            (a.put_away, self.commands.put_away),
            (a.delete, self.commands.delete),
            (a.watch, self.commands.watch),
        ):
            action.triggered.connect(lambda _checked=False, does=does: does(session.current))
        for mode, action in a.themes.items():
            action.triggered.connect(lambda _checked=False, mode=mode: self._set_theme(mode))
        self.pile_panel.set_row_actions(self._row_actions)
        a.copy_rows.setShortcutContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)  # elsewhere it copies texts
        self.pile_panel.view.addAction(a.copy_rows)
        self.pile_panel.document_chosen.connect(self.result_panel.show_document)
        self.pile_panel.selection_changed.connect(self.refresh_actions)
        self.result_panel.retry.connect(lambda document: session.commands.retry([document]))
        self.task_panel.changed.connect(self.refresh)
        self.task_panel.form_made.connect(self._order_tabs)
        self.toolbar.model_clicked.connect(self._show_model)
        docks = self.arrangement.docks
        self.model_panel.summed.connect(docks["model"].say)
        self.hardware_panel.summed.connect(self._say_hardware)
        self.previewer.trial_changed.connect(self.refresh_actions)
        self.previewer.counted.connect(self._show_counts)
        session.engine_changed.connect(self._engine_changed)
        session.jobs_changed.connect(self.refresh_actions)
        session.current_changed.connect(self.refresh)
        session.model_changed.connect(self.refresh_actions)
        session.noticed.connect(self.messages.add)
        session.stale.connect(self.messages.withdraw)
        session.finished.connect(self._finished)
        session.ticked.connect(self._apply)
        self.closing.begun.connect(self._put_away)
        self.closing.done.connect(self.closed)
        self.undo.changed.connect(self.refresh_actions)

    def _order_tabs(self) -> None:
        lead_tabs(
            self.arrangement.docks,
            self.arrangement.views.bar,
            model=self.model_panel,
            task=self.task_panel,
            hardware=self.hardware_panel,
            pile=self.pile_panel,
            result=self.result_panel,
        )

    # --------------------------------------------------------------------------------------------------------- the tick
    def _tick(self) -> None:
        self.session.tick()
        self._ticks += 1
        if self._ticks % TEXT_TICKS == 0:
            self.refresh()

    def _apply(self, snapshot: Snapshot) -> None:
        """Show the newest snapshot; what cannot be seen is not painted."""
        if self.live is not None:
            self.live.apply(snapshot)  # type: ignore[attr-defined] - gui.panels.live is imported after the window is shown
        if not self.isMinimized():
            self.pile_panel.tick()

    def refresh(self) -> None:
        """Show counts, progress and title; called twice a second and after what the user does."""
        job, session = self.session.job, self.session
        self.pile_panel.counts()
        share = progress.share(job)
        busy = job is not None and job.at_work
        loading = session.model.status == "loading"
        sentence = progress.sentence(job, session.meters, writes=session.writes, loading=loading)
        hint = progress.obstacle(session, self.task_panel.task)
        self.status.show_progress(sentence or hint, share, busy=busy)
        title = self.tr("Heddle")
        if busy:
            title = self.tr("{percent} – Heddle").format(percent=words.percent(share))
        if self.windowTitle() != title:
            self.setWindowTitle(title)
        self.task_panel.show_obstacle(progress.mismatch(session, self.task_panel.task))
        self.previewer.look()
        self.awake.hold(any(job.at_work for job in session.jobs.values()))
        self.refresh_actions()

    def refresh_actions(self) -> None:
        """Allow what makes sense now."""
        self.allowed.refresh()

    def _show_counts(self) -> None:
        counts = self.previewer.counts
        self.task_panel.show_counts(counts)
        answer = self.task_panel.values().get("max_new_tokens", 0)
        self.hardware_panel.set_tokens(counts["longest"] + answer if counts else 0)

    def _engine_changed(self, state: str) -> None:
        self.status.show_engine(state)
        self.refresh_actions()

    # --------------------------------------------------------------------------------------------------------- what to do
    def start(self) -> None:
        """Start the pile with the chosen task, or go on with the rest of it."""
        self.starter.start()

    def _pause_or_resume(self) -> None:
        job = self.session.job
        if job is not None and job.can_resume:
            self.starter.resume()
        else:
            self.session.commands.pause()

    def _clear(self) -> None:
        job = self.session.job
        if job is not None:
            question(
                self,
                self.tr("Clear the pile?"),
                self.tr("Take %Ln documents off the pile?", "", job.count()),
                self.tr("Their results go with them. The files stay as they are."),
                self.tr("C&lear"),
                self.session.commands.remove,
            )

    def _next_pile(self) -> None:
        piles = list(self.session.jobs)
        if piles:
            at = piles.index(self.session.current) if self.session.current in piles else -1
            self.session.piles.select(piles[(at + 1) % len(piles)])

    def _copy_paths(self) -> None:
        job = self.session.job
        if job is not None:
            records = (job.pile.records.get(number) for number in self.pile_panel.selected)
            QGuiApplication.clipboard().setText("\n".join(shown(row.path) for row in records if row is not None))

    def _finished(self, number: str) -> None:
        job = self.session.jobs.get(number)
        if job is not None:
            self.notifier.finished(job)
        self.refresh()

    def _in_table(self, does: Callable[[], object]) -> None:
        """Do something that is seen in the table's view."""
        self.arrangement.views.show_page(0)
        does()

    def _show_task(self) -> None:
        self.arrangement.open("task")

    def _show_model(self) -> None:
        self.arrangement.open("model")
        self.model_panel.choice.setFocus(Qt.FocusReason.OtherFocusReason)

    def _say_hardware(self, text: str, wrong: bool) -> None:
        icon = self._theme.icon("warning", "warning") if wrong else self._theme.icon("hardware", "muted")
        self.arrangement.docks["hardware"].say(text, icon)

    def _set_theme(self, mode: str) -> None:
        self._theme.set_mode(mode)
        self._settings.set_text("theme", mode)

    def export(self) -> None:
        """Open the export dialog."""
        self.dialogs.export()

    # ------------------------------------------------------------------------------------------------------------- events
    def changeEvent(self, event: QEvent) -> None:
        """Stop painting charts while minimised; put the tray icon away when somebody looks."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.WindowStateChange:
            self._watch_live()
        elif event.type() == QEvent.Type.ActivationChange and self.isActiveWindow():
            self.notifier.close()

    def event(self, event: QEvent) -> bool:
        """Tell, once, that the window is on the screen."""
        done = super().event(event)
        if event.type() == QEvent.Type.Paint and not self._painted:
            self._painted = True
            QTimer.singleShot(0, self, self.shown_first.emit)
        return done

    def closeEvent(self, event: QCloseEvent) -> None:
        """Ask if something would be lost; close when the engine is gone."""
        self.closing.handle(event)

    def _put_away(self) -> None:
        """Remember the layout and stop what runs here; the engine has up to two seconds to end."""
        self.arrangement.save()
        self.awake.hold(False)
        self.notifier.close()
        self._timer.stop()
        self.dialogs.close()
        self.awake.close()

    # --------------------------------------------------------------------------------------------------------- live panel
    def make_live(self) -> None:
        """Build the live panel: after the window is shown, because the import of its charts takes a while."""
        from gui.panels.live import LivePanel

        if self.live is None:
            self.live = LivePanel()
            self.arrangement.live.hold(self.live, self.arrangement.docks["live"])
            self._watch_live()

    def _watch_live(self) -> None:
        if self.live is not None:
            self.live.set_active(not self.isMinimized())  # type: ignore[attr-defined]

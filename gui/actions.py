"""Every action of the window, with its menu entry, shortcut and icon."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QObject
from PySide6.QtGui import QAction, QActionGroup, QKeySequence
from PySide6.QtWidgets import QMainWindow, QMenu

from gui import words
from gui.theme import MODES, Theme


@dataclass(frozen=True, slots=True)
class _Entry:
    """A menu entry: its name in the code, its text, shortcut, icon and what it does in a sentence."""

    name: str
    text: str
    shortcut: str
    icon: str = ""
    tip: str = ""


class Actions(QObject):
    """The actions by name, as attributes; ``fill_menus`` puts them into the menu bar."""

    def __init__(self, window: QMainWindow, theme: Theme) -> None:
        """Make the actions as children of ``window``, so that their shortcuts work in all of it."""
        super().__init__(window)
        self._window, self._theme = window, theme
        self._icons: list[tuple[QAction, str, str]] = []
        self._menus: list[tuple[str, list[QAction | None]]] = []
        t = self.tr

        def make(entry: _Entry, role: str = "text") -> QAction:
            action = QAction(entry.text, window)
            action.setObjectName(entry.name)
            action.setShortcut(QKeySequence(entry.shortcut))
            tip = entry.tip or entry.text.replace("&", "").rstrip("…")
            shortcut = action.shortcut().toString(QKeySequence.SequenceFormat.NativeText)
            action.setToolTip(t("{tip} ({shortcut})").format(tip=tip, shortcut=shortcut))
            action.setStatusTip("")
            if entry.icon:
                self._icons.append((action, entry.icon, role))
            return action

        self.add_files = make(_Entry("add_files", t("Add &files…"), "Ctrl+O", "add-files", t("Add files to the pile")))
        self.add_folder = make(
            _Entry("add_folder", t("Add f&older…"), "Ctrl+Shift+O", "add-folder", t("Add a folder and all below it"))
        )
        self.sample = make(
            _Entry("sample", t("Open &sample pile"), "Ctrl+Shift+M", "sample", t("Open 240 mails to try Heddle with"))
        )
        self.new_pile = make(_Entry("new_pile", t("&New pile"), "Ctrl+N", "new-pile", t("Begin another pile")))
        self.next_pile = make(_Entry("next_pile", t("Ne&xt pile"), "Ctrl+PgDown", "pile", t("Show the next pile")))
        self.jobs = make(_Entry("jobs", t("&Jobs…"), "Ctrl+J", "jobs", t("List all piles, past and present")))
        self.rename = make(_Entry("rename", t("Re&name pile…"), "F2", "rename", t("Give the pile another name")))
        self.duplicate = make(
            _Entry(
                "duplicate",
                t("&Duplicate pile"),
                "Ctrl+D",
                "duplicate",
                t("Run the same documents with other settings"),
            )
        )
        self.watch = make(
            _Entry(
                "watch", t("&Watch a folder…"), "Ctrl+Shift+W", "watch", t("Add new files of a folder by themselves")
            )
        )
        self.put_away = make(
            _Entry("put_away", t("Put &away"), "Ctrl+W", "away", t("Close the pile; it stays in the list of jobs"))
        )
        self.delete = make(
            _Entry("delete", t("D&elete pile"), "Ctrl+Shift+Backspace", "remove", t("Delete the pile and its results"))
        )
        self.undo = make(_Entry("undo", t("&Undo"), "Ctrl+Z", "undo", t("Bring back what was removed or deleted last")))
        self.export = make(_Entry("export", t("&Export…"), "Ctrl+E", "export", t("Write the results to a file")))
        self.close = make(_Entry("close", t("&Close"), "Ctrl+Q", "power", t("Close Heddle")))

        self.start = make(_Entry("start", t("&Start"), "F5", "start", t("Start the task on the pile")))
        self.run_again = make(
            _Entry("run_again", t("Run all a&gain…"), "Ctrl+F5", "retry", t("Run what is done again as well"))
        )
        self.pause = make(_Entry("pause", t("&Pause"), "F6", "pause", t("Finish what runs and take no more")))
        self.stop = make(_Entry("stop", t("S&top"), "Shift+F5", "stop", t("Stop the task; results stay")))
        self.show_prompt = make(
            _Entry("show_prompt", t("Sho&w prompt"), "F7", "document", t("Show the exact prompt about this document"))
        )
        self.try_on = make(
            _Entry("try_on", t("Tr&y on this document"), "F8", "running", t("Run the task on this document alone"))
        )
        self.retry_failed = make(
            _Entry("retry_failed", t("&Retry failed"), "Ctrl+R", "retry", t("Run failed and cancelled documents again"))
        )
        self.retry_selected = make(
            _Entry(
                "retry_selected", t("Retry se&lected"), "Ctrl+Shift+R", "retry", t("Run the selected documents again")
            )
        )
        self.run_first = make(
            _Entry(
                "run_first", t("Run selected &first"), "Ctrl+Shift+Up", "sooner", t("Let them run before the others")
            )
        )
        self.remove_selected = make(
            _Entry(
                "remove_selected", t("Re&move selected"), "Del", "remove", t("Take the selected documents off the pile")
            )
        )
        self.text_column = make(
            _Entry(
                "text_column",
                t("Use another column as te&xt…"),
                "Ctrl+Shift+K",
                "table",
                t("Take the texts of a table from another of its columns"),
            )
        )
        self.clear = make(
            _Entry("clear", t("&Clear pile"), "Ctrl+Shift+Del", "clear", t("Take all documents off the pile"))
        )
        self.copy_rows = make(
            _Entry("copy_rows", t("C&opy rows"), "Ctrl+C", "copy", t("Copy the selected rows as a table"))
        )
        self.copy_paths = make(
            _Entry(
                "copy_paths", t("Copy pat&hs"), "Ctrl+Shift+C", "copy", t("Copy the paths of the selected documents")
            )
        )
        self.start_engine = make(
            _Entry("start_engine", t("Start eng&ine again"), "Ctrl+Shift+E", "refresh", t("Start the engine again"))
        )
        self.find = make(_Entry("find", t("&Find in pile"), "Ctrl+F", "search", t("Search names and results")))
        self.table_view = make(
            _Entry("table_view", t("Ta&ble"), "Ctrl+T", "table", t("Show the documents and their results"))
        )
        self.live_view = make(
            _Entry("live_view", t("Li&ve"), "Ctrl+L", "live", t("Show what workers, threads and memory do"))
        )
        self.themes: dict[str, QAction] = {}
        group = QActionGroup(self)
        texts = {"system": t("Like the s&ystem"), "light": t("&Light"), "dark": t("&Dark")}
        for at, mode in enumerate(MODES):
            action = make(_Entry(f"theme_{mode}", texts[mode], f"Ctrl+Alt+{at + 1}", mode))
            action.setCheckable(True)
            group.addAction(action)
            self.themes[mode] = action
        self.reset_layout = make(
            _Entry(
                "reset_layout", t("&Reset layout"), "Ctrl+Alt+0", "reset", t("Put all panels back to where they were")
            )
        )
        self.log = make(_Entry("log", t("Engine &log"), "Ctrl+Shift+L", "log", t("Show what the engine wrote last")))
        self.report = make(
            _Entry("report", t("&Report a problem"), "Ctrl+Shift+P", "document", t("Gather what a report should hold"))
        )
        self.about = make(_Entry("about", t("&About Heddle"), "F1", "info"))
        theme.changed.connect(self.dress)
        self.dress()

    def fill_menus(self, panels: list[QAction]) -> None:
        """Fill the menu bar; ``panels`` are the toggles of the panels."""
        t = self.tr
        bar = self._window.menuBar()
        self._fill(
            bar.addMenu(t("&File")),
            [
                self.new_pile,
                self.next_pile,
                self.jobs,
                None,
                self.add_files,
                self.add_folder,
                self.watch,
                self.sample,
                None,
                self.export,
                None,
            ],
        ).addAction(self.close)
        self._fill(
            bar.addMenu(t("&Job")),
            [
                self.start,
                self.pause,
                self.stop,
                self.run_again,
                None,
                self.show_prompt,
                self.try_on,
                None,
                self.retry_failed,
                self.retry_selected,
                self.run_first,
                None,
                self.remove_selected,
                self.text_column,
                self.clear,
                self.copy_rows,
                self.copy_paths,
                None,
                self.rename,
                self.duplicate,
                self.put_away,
                self.delete,
                self.undo,
                None,
                self.start_engine,
            ],
        )
        view = self._fill(bar.addMenu(t("&View")), [self.find, None, self.table_view, self.live_view, None])
        for at, action in enumerate(panels):
            action.setShortcut(QKeySequence(f"Ctrl+{at + 1}"))
            view.addAction(action)
        view.addSeparator()
        theme = view.addMenu(t("&Theme"))
        self._fill(theme, list(self.themes.values()))
        view.addAction(self.reset_layout)
        self._fill(bar.addMenu(t("&Help")), [self.log, self.report, None, self.about])

    def _fill(self, menu: QMenu, actions: list[QAction | None]) -> QMenu:
        menu.setToolTipsVisible(False)
        for action in actions:
            if action is None:
                menu.addSeparator()
            else:
                menu.addAction(action)
        return menu

    def set_pause(self, *, paused: bool) -> None:
        """Make the pause action the way back when the job is paused."""
        text = self.tr("&Resume") if paused else self.tr("&Pause")
        if self.pause.text() != text:
            self.pause.setText(text)
            self.pause.setIconText(text.replace("&", ""))
            self._icons = [
                (a, ("start" if paused else "pause") if a is self.pause else i, r) for a, i, r in self._icons
            ]
            self.pause.setIcon(self._theme.icon("start" if paused else "pause"))

    def set_start(self, obstacle: str, stopped: int) -> None:
        """Say why the pile cannot be started, or what a start does; ``stopped`` documents were left by a stop."""
        tip = obstacle or self.tr("Start the task on the pile (F5)")
        if stopped and not obstacle:
            tip = self.tr("Go on with the %Ln documents that were stopped (F5)", "", stopped)
        if self.start.toolTip() != tip:
            self.start.setToolTip(tip)

    def set_retry(self, failed: int, cancelled: int) -> None:
        """Say what retrying would run again."""
        what = " + ".join(
            text.format(n=words.number(n))
            for n, text in ((failed, self.tr("{n} failed")), (cancelled, self.tr("{n} cancelled")))
            if n
        )
        text = self.tr("&Retry {what}").format(what=what or self.tr("failed"))
        if self.retry_failed.text() != text:
            self.retry_failed.setText(text)
            self.retry_failed.setToolTip(self.tr("Run these documents again (Ctrl+R)"))

    def set_undo(self, text: str) -> None:
        """Say what would be brought back; "" when there is nothing."""
        self.undo.setText(text or self.tr("&Undo"))
        self.undo.setEnabled(bool(text))

    def set_watch(self, *, watching: bool) -> None:
        """Make the watch action the way to end it while a folder is watched."""
        text = self.tr("Stop &watching the folder") if watching else self.tr("&Watch a folder…")
        if self.watch.text() != text:
            self.watch.setText(text)

    def dress(self) -> None:
        """Draw the icons in the colours of the theme."""
        for action, icon, role in self._icons:
            action.setIcon(self._theme.icon(icon, role))
        self.themes[self._theme.mode].setChecked(True)

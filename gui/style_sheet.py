"""The style rules on top of Fusion; names in braces are fields of theme.Colours."""

STYLE_SHEET = """
QToolBar {{ background: {window}; border: none; border-bottom: 1px solid {border}; padding: 4px 8px; spacing: 4px; }}
QToolBar::separator {{ background: {border}; width: 1px; margin: 6px 4px; }}
QToolButton {{ border: 1px solid transparent; border-radius: 6px; padding: 4px 8px; color: {text}; }}
QToolButton:hover {{ background: {hover}; }}
QToolButton:pressed, QToolButton:checked {{ background: {soft}; }}
QToolButton:focus {{ border-color: {accent}; }}
QToolButton:disabled {{ color: {strong_border}; }}
QToolButton::menu-indicator {{ image: none; }}

QPushButton {{ background: {raised}; border: 1px solid {strong_border}; border-radius: 6px; padding: 5px 14px;
              color: {text}; }}
QPushButton:hover {{ background: {hover}; }}
QPushButton:pressed {{ background: {soft}; }}
QPushButton:focus {{ border-color: {accent}; }}
QPushButton:disabled {{ color: {strong_border}; border-color: {border}; }}
QPushButton[primary="true"], QToolButton[primary="true"] {{ background: {accent}; border-color: {accent};
              color: {on_accent}; font-weight: 600; }}
QPushButton[primary="true"]:hover, QToolButton[primary="true"]:hover {{ background: {accent_hover}; }}
QPushButton[primary="true"]:focus, QToolButton[primary="true"]:focus {{ border-color: {text}; }}
QPushButton[primary="true"]:disabled, QToolButton[primary="true"]:disabled {{ background: {hover};
              border-color: {border}; color: {muted}; }}

QToolButton[chip="true"] {{ background: {raised}; border: 1px solid {border}; border-radius: 12px; padding: 3px 10px; }}
QToolButton[chip="true"]:hover {{ background: {hover}; }}
QToolButton[chip="true"]:checked {{ background: {soft}; border-color: {accent}; }}
QToolButton[chip="true"]:focus {{ border-color: {accent}; }}

QStatusBar {{ background: {window}; border-top: 1px solid {border}; color: {muted}; }}
QStatusBar::item {{ border: none; }}
QLabel[muted="true"] {{ color: {muted}; }}
QLabel[strong="true"] {{ font-weight: 600; }}
QLabel[problem="true"] {{ color: {error}; }}
QLabel[heading="true"] {{ font-weight: 600; color: {muted}; letter-spacing: 1px; }}

QMainWindow::separator {{ background: transparent; width: 6px; height: 6px; }}
QMainWindow::separator:hover {{ background: {soft}; }}
QSplitter::handle:hover {{ background: {soft}; }}

QFrame[card="true"] {{ background: {base}; border: 1px solid {border}; border-radius: 8px; }}
QFrame[dropzone="true"] {{ background: transparent; border: 2px dashed {strong_border}; border-radius: 12px; }}
QFrame[dropzone="true"][active="true"] {{ background: {soft}; border-color: {accent}; }}
QFrame[notice="true"] {{ background: {raised}; border: none; border-bottom: 1px solid {border}; }}

QTableView {{ background: {base}; alternate-background-color: {alternate}; border: 1px solid {border};
             border-radius: 8px; selection-background-color: {soft}; selection-color: {text}; }}
QHeaderView {{ background: {base}; border: none; }}
QHeaderView::section {{ background: {base}; color: {muted}; border: none; border-bottom: 1px solid {border};
             padding: 6px 8px; font-weight: 600; }}
QHeaderView::section:hover {{ color: {text}; }}
QTableView QTableCornerButton::section {{ background: {base}; border: none; }}

QPlainTextEdit, QTextEdit, QTreeView, QListView {{ background: {base}; border: 1px solid {border}; border-radius: 6px; }}
QPlainTextEdit:focus {{ border-color: {accent}; }}
QScrollArea {{ background: transparent; border: none; }}
QProgressBar {{ background: {hover}; border: none; border-radius: 3px; }}
QProgressBar::chunk {{ background: {accent}; border-radius: 3px; }}
QToolTip {{ background: {raised}; color: {text}; border: 1px solid {strong_border}; padding: 4px 6px; }}
"""

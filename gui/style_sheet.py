"""The style rules on top of Fusion; names in braces are fields of theme.Colours, and ``tick`` a file."""

STYLE_SHEET = """
QToolBar {{ background: {window}; border: none; border-bottom: 1px solid {border}; padding: 4px 8px; spacing: 4px; }}
QToolBar::separator {{ background: {border}; width: 1px; margin: 6px 4px; }}
QToolButton {{ border: 1px solid transparent; border-radius: 6px; padding: 4px 8px; color: {text}; }}
QToolButton:hover {{ background: {hover}; }}
QToolButton:pressed, QToolButton:checked {{ background: {soft}; }}
QToolButton:focus {{ border-color: {accent}; }}
QToolButton:disabled {{ color: {strong_border}; }}
QToolButton[look="line"] {{ padding: 3px 0px; text-align: left; }}
QToolButton::menu-indicator {{ image: none; }}

QPushButton {{ background: {raised}; border: 1px solid {strong_border}; border-radius: 6px; padding: 5px 14px;
              color: {text}; }}
QPushButton:hover {{ background: {hover}; }}
QPushButton:pressed {{ background: {soft}; }}
QPushButton:focus {{ border-color: {accent}; }}
QPushButton:disabled {{ color: {strong_border}; border-color: {border}; }}
QPushButton[look="primary"], QToolButton[look="primary"] {{ background: {accent}; border-color: {accent};
              color: {on_accent}; font-weight: 600; }}
QPushButton[look="primary"]:hover, QToolButton[look="primary"]:hover {{ background: {accent_hover}; }}
QPushButton[look="primary"]:focus, QToolButton[look="primary"]:focus {{ border-color: {text}; }}
QPushButton[look="primary"]:disabled, QToolButton[look="primary"]:disabled {{ background: {hover};
              border-color: {border}; color: {muted}; }}

QToolButton[look="chip"] {{ background: {raised}; border: 1px solid {border}; border-radius: 12px; padding: 3px 4px 3px 8px; }}
QToolButton[look="chip"]:hover {{ background: {hover}; }}
QToolButton[look="chip"]:checked {{ background: {soft}; border-color: {accent}; }}
QToolButton[look="chip"]:focus {{ border-color: {accent}; }}

QToolButton[bars="yes"] {{ padding: 3px 10px 9px 10px; }}

QCheckBox::indicator, QRadioButton::indicator {{ width: 14px; height: 14px; background: {base};
              border: 1px solid {muted}; }}
QCheckBox::indicator {{ border-radius: 4px; }}
QRadioButton::indicator {{ border-radius: 8px; }}
QCheckBox::indicator:hover, QRadioButton::indicator:hover, QCheckBox:focus::indicator,
QRadioButton:focus::indicator {{ border-color: {accent}; }}
QCheckBox::indicator:checked {{ background: {accent}; border-color: {accent}; image: url("{tick}"); }}
QRadioButton::indicator:checked {{ border-color: {accent}; background: qradialgradient(cx: 0.5, cy: 0.5, radius: 0.5,
              fx: 0.5, fy: 0.5, stop: 0 {accent}, stop: 0.5 {accent}, stop: 0.6 {base}, stop: 1 {base}); }}
QCheckBox::indicator:disabled, QRadioButton::indicator:disabled {{ border-color: {border}; background: {window}; }}
QDialogButtonBox {{ dialogbuttonbox-buttons-have-icons: 0; }}

QStatusBar {{ background: {window}; border-top: 1px solid {border}; color: {muted}; }}
QStatusBar::item {{ border: none; }}
QLabel[look="muted"] {{ color: {muted}; }}
QLabel[look="strong"] {{ font-weight: 600; }}
QLabel[look="problem"] {{ color: {error}; }}
QLabel[look="warning"] {{ color: {warning}; }}
QLabel[look="heading"] {{ font-weight: 600; color: {muted}; letter-spacing: 1px; }}

QMainWindow::separator {{ background: transparent; width: 6px; height: 6px; }}
QMainWindow::separator:hover {{ background: {soft}; }}
QSplitter::handle:hover {{ background: {soft}; }}

QFrame[look="card"] {{ background: {base}; border: 1px solid {border}; border-radius: 8px; }}
QFrame[look="dropzone"] {{ background: transparent; border: 2px dashed {strong_border}; border-radius: 12px; }}
QFrame[look="notice"] {{ background: {raised}; border: none; border-bottom: 1px solid {border}; }}

QTableView {{ background: {base}; alternate-background-color: {alternate}; border: 1px solid {border};
             border-radius: 8px; selection-background-color: {soft}; selection-color: {text}; }}
QTableView::item {{ padding: 0 8px; }}
QHeaderView {{ background: {base}; border: none; }}
QHeaderView::section {{ background: {base}; color: {muted}; border: none; border-bottom: 1px solid {border};
             padding: 6px 11px; font-weight: 600; }}
QHeaderView::section:hover {{ color: {text}; }}
QTableView QTableCornerButton::section {{ background: {base}; border: none; }}

QPlainTextEdit, QTextEdit, QTreeView, QListView {{ background: {base}; border: 1px solid {border}; border-radius: 6px; }}
QPlainTextEdit:focus {{ border-color: {accent}; }}
QLineEdit[look="field"] {{ background: {base}; border: 1px solid {strong_border}; border-radius: 6px; padding: 3px 6px; }}
QLineEdit[look="field"]:focus {{ border-color: {accent}; }}
QTabBar::tab {{ background: transparent; border: none; border-bottom: 2px solid transparent; padding: 5px 12px;
             color: {muted}; }}
QTabBar::tab:hover {{ color: {text}; }}
QTabBar::tab:selected {{ color: {text}; border-bottom-color: {accent}; }}
QTabBar::tab:focus {{ color: {accent}; }}
QTabWidget::pane {{ border: none; }}
QScrollBar:vertical {{ background: transparent; width: 12px; margin: 0; }}
QScrollBar:horizontal {{ background: transparent; height: 12px; margin: 0; }}
QScrollBar::handle {{ background: {strong_border}; border: 3px solid transparent; border-radius: 6px; }}
QScrollBar::handle:vertical {{ min-height: 32px; }}
QScrollBar::handle:horizontal {{ min-width: 32px; }}
QScrollBar::handle:hover {{ background: {muted}; }}
QScrollBar::add-line, QScrollBar::sub-line {{ width: 0; height: 0; }}
QScrollBar::add-page, QScrollBar::sub-page {{ background: transparent; }}
QScrollArea {{ background: transparent; border: none; }}
QProgressBar {{ background: {hover}; border: none; border-radius: 3px; }}
QProgressBar::chunk {{ background: {accent}; border-radius: 3px; }}
QToolTip {{ background: {raised}; color: {text}; border: 1px solid {strong_border}; padding: 4px 6px; }}
"""

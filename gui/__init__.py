"""Heddle's window: widgets only. It knows the engine by its protocol and never imports torch."""

from gui.singletons import protect_singletons

protect_singletons()  # before anything of Qt is called, whoever imports the window: the program, a test, a tool

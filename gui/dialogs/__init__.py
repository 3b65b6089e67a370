"""Small dialogs: export, about, engine log, problems."""

"""What is asked of a model and what comes back: frozen, and importing nothing of ours."""

"""Live charts of the last minute: what the workers do, what each thread uses, how fast it goes, what it costs."""

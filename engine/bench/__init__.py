"""Measuring Heddle against others on this machine: ratios of two things run in turn."""

"""Which work a worker gets next: pure, without locks, threads, clocks, torch or Qt."""

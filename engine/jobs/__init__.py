"""Jobs: piles with a task, from the first document added to the last row written."""

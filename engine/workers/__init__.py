"""Worker threads of the pool and the queue that feeds them."""

"""Several processes beside one: equal results, bytes sent, and memory, written into a report."""

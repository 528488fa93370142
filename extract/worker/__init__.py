"""What one process does: read ahead, decode, run, hand on. Start at `extract.worker.worker`."""

"""What takes a run down, done on purpose: kills, faults, readers; documented in each program."""

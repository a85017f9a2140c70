"""Programs that disturb runs on purpose: kills, faults, readers. Each documents itself."""

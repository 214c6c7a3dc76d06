"""The audit examined: its chain, its signed checkpoints, its decisions made again."""

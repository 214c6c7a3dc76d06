"""Real loans of twelve years decided again as they came, with the guard and without it."""

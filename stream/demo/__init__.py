"""Real and synthetic applications from four simulated channels, for `tenminute demo`."""

"""Claims about decisions, proved on many real cases: each a module to run, short in the suite."""

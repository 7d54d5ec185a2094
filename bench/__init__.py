"""The benchmark: Milango and its baselines, interleaved in one run, as figures and as ratios."""

"""A table of scores becomes a summary: means, intervals, normalised scores, regimes, alarms."""

"""Figures: the whole line, beside raw baselines measured in the same run."""

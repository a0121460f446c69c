"""The deterministic simulation of law 3: the project's own acceptance and deciders under everything that can go wrong.

`rules` and `trouble` say what is in force and what happens, `play` plays one schedule, `check` judges it, `search` plays
many and makes a failing one small. `python -m tests.support.simulation --schedules 1000000 --seed 7` plays a million.
"""

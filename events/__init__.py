"""What can be said: one vocabulary for events and commands. No IO, imports nothing of ours."""

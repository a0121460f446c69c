"""What can be asked: one file, one question, with its tables, how events change them, and its queries."""

"""Questions, their tables and their figures."""

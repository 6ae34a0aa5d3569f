"""From tables of studies to one page: what is found, what is said of it, and how that is set for the screen and for print."""

"""How data for an update is collected."""

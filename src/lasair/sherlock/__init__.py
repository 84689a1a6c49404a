"""Sky context: which catalogued sources lie at a position, and what an alert there hence probably is."""

"""What came in and what became of it: one transaction a batch, and it must close."""

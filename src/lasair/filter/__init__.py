"""The filter stage: features, users' filters, and what they cause."""

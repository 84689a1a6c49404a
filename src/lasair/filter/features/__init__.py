"""Light-curve features: pure functions from an alert batch to the columns of `objects`, one family a module."""

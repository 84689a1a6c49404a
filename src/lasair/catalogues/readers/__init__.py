"""Tables in the formats that catalogues come in, read some rows at a time."""

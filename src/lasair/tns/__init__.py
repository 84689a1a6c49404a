"""The mirror of the Transient Name Server: its public files, fetched, read and kept in one table."""

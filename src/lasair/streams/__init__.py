"""What a match becomes: topics, forms of messages."""

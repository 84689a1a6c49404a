"""What programs outside say of an object: the model of one annotation, and adapters for other brokers' messages."""

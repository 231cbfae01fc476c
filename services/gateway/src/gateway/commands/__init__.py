"""What a client's frame does: commands on their way to the bus and back."""

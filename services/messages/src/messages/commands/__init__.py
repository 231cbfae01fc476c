"""Commands: changes to a channel, from the bus and from the API, judged and stored in batches."""

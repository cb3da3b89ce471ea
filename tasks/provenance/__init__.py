"""Where a model comes from: the whole way back from a version or a batch, and whether its hashes still hold."""

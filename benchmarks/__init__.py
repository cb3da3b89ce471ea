"""What `make bench` measures, each thing beside its public peer in the same run."""

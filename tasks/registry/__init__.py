"""What MLflow is told: where its store is, the runs of a chain, the model as it is served, its card."""

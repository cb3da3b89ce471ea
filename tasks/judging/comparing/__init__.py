"""How the answers of models stand to each other by one judge's verdicts."""

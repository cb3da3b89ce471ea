"""How good a model is: baselines on the same text, minimal pairs, what it writes."""

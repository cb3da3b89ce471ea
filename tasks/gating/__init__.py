"""What `gate` is made of: the evidence of a candidate against the champion and the base model, and what it allows."""

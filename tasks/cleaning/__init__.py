"""What `prepare` does to a text: repair, filters, duplicates; one module each, no path or global in them."""

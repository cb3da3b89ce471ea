"""What people say of the models' answers: a database, leases, quality, batches in and out. The page is apps/review."""

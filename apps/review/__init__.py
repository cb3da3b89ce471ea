"""The page on which people review the models' answers. What it stores: tasks/reviews."""

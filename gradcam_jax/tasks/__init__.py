"""The tasks: what a model eats, what a score is, and how a user names a target."""

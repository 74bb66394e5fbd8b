"""Arrow batch in, Arrow batch out, on the executors."""

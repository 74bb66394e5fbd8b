"""Mining of item pairs."""

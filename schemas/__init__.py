"""Table and settings contracts. Imports nothing else of the project, and no Spark."""

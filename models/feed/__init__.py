"""Training data: rows of a table snapshot's Parquet files as batches of tensors, by Petastorm."""

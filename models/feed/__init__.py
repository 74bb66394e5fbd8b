"""Training data: batches of tensors, read by Petastorm from the Parquet files of one table snapshot."""

"""What the jobs that train the retriever share: the numbered codes, and the moments that are learned from."""

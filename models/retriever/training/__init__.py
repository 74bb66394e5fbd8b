"""The training of the retriever: next token, and the ranker's reward."""

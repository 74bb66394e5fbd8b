"""The language model: loading, prompts, alignment, embeddings and judges of item pairs."""

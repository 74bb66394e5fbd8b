"""The language model: loading, prompting, embedding, judging."""

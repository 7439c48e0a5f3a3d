"""One runnable file a claim."""

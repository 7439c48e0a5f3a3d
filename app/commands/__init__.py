"""What the command line does, one module a word; each command imports what it needs when it runs."""

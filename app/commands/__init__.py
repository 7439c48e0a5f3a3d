"""Commands, by topic; each command imports its dependencies when it runs, so that `--help` stays fast."""

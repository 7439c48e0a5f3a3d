"""The app's own HTTP routes: images, findings, verdicts."""

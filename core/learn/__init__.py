"""How models are trained; the only wing that imports torch."""

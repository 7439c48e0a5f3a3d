"""What goes out: which items, under which names, in which form, and the record of it."""

"""What the symbolic judge is made of: one normal form, a reader, exact forms, evaluation, and the rules of comparison."""

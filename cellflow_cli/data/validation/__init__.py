"""What may be wrong with data, found before training on them."""

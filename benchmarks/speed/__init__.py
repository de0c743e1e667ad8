"""What the package costs beside rivals in the same run."""

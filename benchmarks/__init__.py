"""What the project's claims rest on; research beside the package, never installed with it."""

"""Smoothing and its rivals on real data: twelve tables and Fashion-MNIST."""

"""The experiments of Maher and Kull 2021 on synthetic data, and what was reconstructed for them."""

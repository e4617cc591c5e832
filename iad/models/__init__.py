"""Networks and what joins them: encoders, autoencoder, transformer and adapters, a model's parts."""

"""Training of every part, stage by stage: autoencoder, encoder, decoupler, base and adapters."""

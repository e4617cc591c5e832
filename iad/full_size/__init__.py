"""Full size: CogVideoX-5B with IaD's adapters, and the real ConsisID and ID-Animator beside it."""

"""A head fitted to a photo, and the photo set in motion by it."""

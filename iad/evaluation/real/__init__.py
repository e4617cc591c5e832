"""The suite `real`: reading, identity, driving and asked actions on real faces, by judges from elsewhere."""

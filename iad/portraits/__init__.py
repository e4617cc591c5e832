"""People who do not exist: a morphable head, photographs fitted with it, their actions, and clips of them."""

"""The type checker that the tests put on every function of `iad`."""

from beartype import BeartypeConf, beartype

# An int will do where a float is asked for, as everywhere in Python.
check = beartype(conf=BeartypeConf(is_pep484_tower=True))

"""Messages of other projects, declared by the few fields that are read of them.

At the very bottom, and every folder may import it.

* `declared`: makes a message class of a table of its fields.
* `label_map`: reads what the classes are called.
"""

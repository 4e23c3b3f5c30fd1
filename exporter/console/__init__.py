"""What a command says while it runs, and what libraries say that nobody asked.

* `stages`: what long work is doing, and how long each part took.
"""

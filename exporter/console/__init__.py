"""What a command says while it runs, and what libraries say that nobody asked.

* `chatter`: keeps what libraries write to standard error, and shows it where it counts.
* `interruptions`: how a command ends that is told to.
* `stages`: what long work is doing, and how long each part took.
"""

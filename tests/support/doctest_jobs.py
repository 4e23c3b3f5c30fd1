"""Runs the examples in the docstring of a function or class."""

import doctest
import importlib


def run(module_name: str, name: str) -> list:
  """How many examples there are, how many failed, and what was printed of those."""
  module = importlib.import_module(module_name)
  printed = []
  runner = doctest.DocTestRunner()
  for test in doctest.DocTestFinder(recurse=False).find(
      getattr(module, name), name, module):
    runner.run(test, out=printed.append)
  return [runner.tries, runner.failures, ''.join(printed)]

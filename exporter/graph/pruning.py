"""Takes out of a GraphDef, and of its functions, all that is not live.

`prune` is the whole recipe: find what the roots need, then rewrite each body to
its live nodes, each function to its live arguments and results, and each call to
match.
"""

from __future__ import annotations

from typing import Any

from exporter.graph.bodies import MAIN_GRAPH, Body, bodies_of, call_of
from exporter.graph.liveness import Liveness, Roots
from exporter.graph.op_effects import OpEffects, OpKinds
from exporter.graph.rewriting import BodyRewriter, Kept


def prune(graph_def: Any, roots: Roots, kinds: OpKinds) -> Kept:
  """Reduces `graph_def`, in place, to what `roots` need.

  Args:
    graph_def: GraphDef with its function library.
    roots: what must still be there.
    kinds: of its op types, as `op_effects.op_kinds` finds them.

  Returns:
    The former positions of what is left.
  """
  bodies = bodies_of(graph_def)
  liveness = Liveness(bodies, OpEffects(bodies, kinds))
  liveness.mark(roots)
  return keep_live(graph_def, liveness)


def keep_live(graph_def: Any, liveness: Liveness) -> Kept:
  """Reduces `graph_def`, in place, to what is live of it.

  Args:
    graph_def: the GraphDef whose bodies `liveness` has.
    liveness: with all its marks.

  Returns:
    The former positions of what is left.
  """
  kept = _kept_positions(liveness.bodies, liveness)
  for function in graph_def.library.function:
    name = function.signature.name
    if name in liveness.functions:
      BodyRewriter(liveness.bodies[name], liveness, kept).rewrite_function(function)
  BodyRewriter(liveness.bodies[MAIN_GRAPH], liveness, kept).rewrite_graph(graph_def)
  _keep_functions(graph_def.library, liveness.functions)
  return kept


def _kept_positions(bodies: dict[str, Body], liveness: Liveness) -> Kept:
  arguments = {
      name: [i for i in bodies[name].arguments.values()
             if (name, i) in liveness.arguments]
      for name in liveness.functions}
  results = {
      name: [i for i in range(len(bodies[name].results))
             if (name, i) in liveness.results]
      for name in liveness.functions}
  outputs = {}
  for body, name in liveness.nodes:
    call = call_of(bodies[body].nodes[name])
    if call is not None:
      outputs[body, name] = results[call.callees[0]]
  return Kept(arguments, results, outputs)


def _keep_functions(library: Any, names: set[str]) -> None:
  kept = [f for f in library.function if f.signature.name in names]
  gradients = [g for g in library.gradient
               if g.function_name in names and g.gradient_func in names]
  registered = [g for g in library.registered_gradients
                if g.gradient_func in names]
  library.Clear()
  library.function.extend(kept)
  library.gradient.extend(gradients)
  library.registered_gradients.extend(registered)

"""Nodes and functions of a graph: what lives, and what can go.

Everything here takes and gives protos, and knows of no folder, signature or model.
Nothing here imports TensorFlow when it is imported.

What other folders use:

* `bodies`: one read-only view of a graph and its functions.
* `op_effects`: what running an op does beside making its outputs; `op_table` and
  `resources` are what it looks up.
* `liveness`: what the kept results need; `checks` tells which asserts stay.
* `pruning`: takes out the rest; `rewriting` does that to one body.
* `walk`: how all of these go from node to node.
* `function_equality`: whether two functions compute the same.
* `result_selection`: a function that returns some results of another one.

The words, on a detector with one function `f`, which is called once:

    main graph                          f
                                        arguments                     results
    image ──────► ┌──────┐ ─► call:0    image ─┐
    w (variable) ►│ call │              w ─► read_w ─► conv ───┬────► boxes
    v (variable) ►└──────┘ ─► call:1    v ─► read_v ─► mask ◄──┘
                                                        └───────────► masks

* body: the nodes of the main graph, or of one function (a FunctionDef); both are
  read alike. Names are unique in a body alone: `w` is a node of the main graph and
  an argument of `f`.
* node: an op with a name, its inputs and attributes (a NodeDef): `conv`.
* edge: one input of a node. A data edge hands it a tensor, such as `call:1`; a
  control edge, written `^node`, lets it wait.
* call: a node that runs functions (`PartitionedCall`, `If`, `Case`, `While`), its
  callees. Its i-th input is their i-th argument, its i-th output their i-th result.
* argument, result: what a function takes and gives, by position.
* capture: an argument that no caller of the model passes, as it stands for a variable
  or a table of the loaded object: `w`, `v`.
* root: what must stay, since somebody outside asks for it: the tensors of the
  signatures, the nodes that restore the variables.
* live: a root, or needed by something live.

How the pruning goes, where `call:0` is the root. `liveness` walks the edges back:
`call:0` is result `boxes` of `f`, so `conv`, `image`, `read_w` and `w` are live, in `f`
and then in the main graph. A result that one call needs, every call returns, and an
argument that stays is passed by each, so the walk goes on until nothing is new. `mask`
and `read_v` were not reached, and have no effects: `pruning` drops them, the result
`masks`, the argument `v`, the input of `call` that fed it and, in the main graph, the
variable. `call:1` is gone; had it stayed and `call:0` gone, it would be `call:0` now,
which `rewriting.Kept` tells. Ops that change state are live in each function that is
called; a check lives when what it looks at does.
"""

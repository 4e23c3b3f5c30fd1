"""Slims a SavedModel that was exported long ago: its outputs, not its code.

    from exporter.output_keys import OutputSelection
    from exporter.slimming import slim_saved_model

    report = slim_saved_model('stock/saved_model', 'lean/saved_model',
                              OutputSelection.parse('detection_boxes'))
    print(report.after.saved_model_bytes)

Needs TensorFlow for reading and writing variables; neither the checkpoint nor
the pipeline config nor object_detection.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence

from absl import logging

from exporter import slim_report
from exporter.console.stages import Stages
from exporter.detection import environment
from exporter.errors import UserError, did_you_mean
from exporter.output_keys import OutputSelection
from exporter.paths import remote
from exporter.paths.urls import is_url
from exporter.publishing import export_folder
from exporter.renaming import Renaming
from exporter.saved_model import moved_tensors
from exporter.saved_model.files import SavedModelFiles, find_saved_model, newest_version
from exporter.saved_model.signature import read_signatures
from exporter.serving import comparison, copied_requests, image_request
from exporter.serving.comparison import Comparison
from exporter.slim_report import Contents, SlimReport


def slim_saved_model(saved_model_dir: str,
                     output_directory: str | None,
                     selection: OutputSelection,
                     signature: str = 'serving_default',
                     keep_other_signatures: bool = False,
                     in_place: bool = False,
                     dry_run: bool = False,
                     serving_version: int | None = None,
                     warmup_images: Sequence[str] = (),
                     tag_set: Iterable[str] | None = None,
                     verify: bool = False,
                     verify_images: Sequence[str] = (),
                     renaming: Renaming | None = None) -> SlimReport:
  """Writes a SavedModel with only the selected outputs of a signature.

    >>> report = slim_saved_model(
    ...     'exported', 'slim', OutputSelection.parse('detection_boxes'))
    >>> report.after.outputs
    ('detection_boxes',)
    >>> report.after.nodes < report.before.nodes
    True
    >>> report.is_callable
    True

  Args:
    saved_model_dir: the SavedModel, or a folder that holds it, see
      `files.find_saved_model`; never changed, unless `in_place`.
    output_directory: where the slimmed one goes. It appears complete or not at
      all; a SavedModel that stands there is replaced.
    selection: which outputs of `signature` stay.
    signature: the signature to slim.
    keep_other_signatures: whether other signatures stay, with all they need.
    in_place: replace `saved_model_dir` itself; then `output_directory` is None
      or the same.
    dry_run: only report.
    serving_version: also writes the slimmed one to `output_directory/N/`, where
      TensorFlow Serving looks for version N.
    warmup_images: image files with which TensorFlow Serving warms up `signature` and
      each other signature that stays and takes an image. Without, requests that the
      SavedModel has are fitted to what is left.
    tag_set: the tags of the MetaGraph to slim, where there are several; None: the
      one tagged `serve` and nothing else.
    verify: run both before the new one takes its place, see `comparison.compare`.
    verify_images: on these image files rather than on random inputs.
    renaming: other names for inputs, outputs and signatures that stay; all other
      arguments say the old ones.

  Raises:
    UserError: an argument does not fit, or the SavedModel cannot be read or
      holds something that cannot be pruned, or the comparison finds a difference.
  """
  _check_verifies(verify, verify_images, dry_run)
  warmup_images = [os.fspath(image) for image in warmup_images]
  if in_place:
    _check_is_no_version(saved_model_dir)
  saved_model_dir = find_saved_model(saved_model_dir)
  target = _target(saved_model_dir, output_directory, in_place, dry_run)
  if not dry_run:
    export_folder.check(
        target, export_folder.of_saved_model(), warmup_images, serving_version)

  environment.check_tensorflow()
  with (stages := Stages())('import'):  # TensorFlow.
    from exporter.meta_graph import renaming as meta_graph_renaming
    from exporter.saved_model import writing
  with stages('prune'):
    source = SavedModelFiles.open(saved_model_dir, tag_set)
    outputs = _outputs(source, selection, signature, keep_other_signatures)
    renaming = renaming or Renaming()
    new_signatures = _check_renaming(renaming, source, outputs)
    lean, pruned = writing.prune(source, outputs)
    moved = moved_tensors.between(source.serving_graph, lean.meta_graphs[0])
    meta_graph_renaming.rename(lean.meta_graphs[0], renaming.names, renaming.signatures)
  # Before anything is written, which may take the place of what was read.
  report = slim_report.report(source, lean, pruned, outputs, renaming, moved)
  if not dry_run:
    owned = export_folder.of_saved_model(source.assets)
    with export_folder.new_export(
        target, owned, warmup_images=warmup_images, serving_version=serving_version,
        signatures=_warmed(source, signature, new_signatures, warmup_images)) as directory:
      _write(lean, pruned, source, directory, stages)
      if not warmup_images:
        _fit_requests(directory, outputs, renaming)
      if verify:
        with stages('verify'):
          report = dataclasses.replace(report, comparison=_compare(
              source, directory, outputs, verify_images, renaming))
  return report


def _check_renaming(renaming: Renaming, source: SavedModelFiles,
                    outputs: Mapping[str, Sequence[str]]) -> dict[str, str]:
  """Checks that what is renamed stays, and alone has its name; the signatures' names.

  Raises:
    UserError: it does not stay, or shares its name.
  """
  definitions = {name: source.serving_graph.signature_def[name] for name in outputs}
  renaming.check_known([*(key for d in definitions.values() for key in d.inputs),
                        *(key for keys in outputs.values() for key in keys)])
  for name, definition in definitions.items():
    renaming.applied(sorted(definition.inputs), 'inputs')
    renaming.applied(outputs[name], 'outputs')
  return renaming.applied_to_signatures(outputs)


def _write(lean, pruned, source: SavedModelFiles, directory: str, stages: Stages) -> None:
  from exporter.saved_model import check, writing

  def check_graph() -> None:
    check.check_slimmed(SavedModelFiles.open(directory).serving_graph,
                        source.serving_graph, source.directory)

  with stages('save and check'):
    writing.write(lean, pruned, source, directory, meanwhile=check_graph)


def _warmed(source: SavedModelFiles, primary: str, new_names: Mapping[str, str],
            images: Sequence[str]) -> list[str]:
  """The signatures that images warm up: the slimmed one, and others that take one."""
  if not images:
    return []
  signatures = read_signatures(
      source.directory, source.serving_graph.meta_info_def.tags)
  return [new for name, new in new_names.items()
          if name == primary or image_request.takes_image(signatures[name])]


def _fit_requests(directory: str, outputs: Mapping[str, Sequence[str]],
                  renaming: Renaming) -> None:
  gone = copied_requests.fit(directory, outputs, renaming.names, renaming.signatures)
  if gone:
    logging.warning('%d warm-up requests went with the signatures that they call.', gone)


def _compare(source: SavedModelFiles, directory: str,
             outputs: Mapping[str, Sequence[str]], images: Sequence[str],
             renaming: Renaming) -> Comparison:
  return comparison.compare(
      source.directory, directory, {k: v for k, v in outputs.items() if v}, images,
      list(source.serving_graph.meta_info_def.tags), renaming.names,
      renaming.signatures)


def contents_of(saved_model_dir: str,
                signature: str = 'serving_default') -> Contents:
  """What a SavedModel folder holds.

  Raises:
    UserError: it cannot be read.
  """
  environment.check_tensorflow()
  source = SavedModelFiles.open(saved_model_dir)
  return slim_report.contents(
      source, source.proto, source.serving_graph,
      slim_report.signature_of(source, signature))


def _check_verifies(verify: bool, images: Sequence[str], dry_run: bool) -> None:
  if images and not verify:
    raise UserError(f'The image {images[0]} is what --verify compares on, which is not'
                    ' given.')
  if verify and dry_run:
    raise UserError('--dry_run writes nothing that --verify could run; leave one of'
                    ' them out.')
  for image in images:
    image_request.read_image_file(image)


def _check_is_no_version(saved_model_dir: str) -> None:
  """Raises UserError where a server's version would be found, not given."""
  version = newest_version(saved_model_dir)
  if version is not None:
    raise UserError(
        f'{saved_model_dir} holds versions for a server, which may have loaded'
        f' {version}; slim it into another output directory, or give that'
        ' version itself to replace it in place.')


def _target(saved_model_dir, output_directory, in_place, dry_run) -> str | None:
  if dry_run:
    return None
  given = remote.as_urls(saved_model_dir)
  if in_place and is_url(given):
    raise UserError(f'in_place replaces {given}, which is a URL, where nothing can be'
                    ' replaced in one step; give another output directory.')
  source = os.path.realpath(given)
  if in_place:
    if output_directory and os.path.realpath(output_directory) != source:
      raise UserError(
          f'in_place replaces {saved_model_dir}, but the output directory is'
          f' {output_directory}; leave one of them out.')
    return source
  if not output_directory:
    raise UserError('An output directory is needed, unless in_place is given.')
  target = os.path.realpath(output_directory)
  if os.path.commonpath([source, target]) in (source, target):
    raise UserError(
        f'The output directory {output_directory} and the SavedModel'
        f' {saved_model_dir} are the same or lie in one another; give another'
        ' folder, or in_place to replace the SavedModel.')
  return os.fspath(output_directory)


def _outputs(source, selection, signature, keep_other_signatures) -> dict[str, list[str]]:
  """The output keys to keep of each signature, the slimmed one first."""
  signatures = {name: sorted(definition.outputs)
                for name, definition in source.serving_graph.signature_def.items()
                if not name.startswith('__')}
  if signature not in signatures:
    raise UserError(
        f'{source.directory} has no signature {signature!r}'
        f'{did_you_mean(signature, signatures) or "."} Its signatures are'
        f' {", ".join(sorted(signatures)) or "none"}.')
  if not signatures[signature]:
    others = sorted(name for name, keys in signatures.items() if keys)
    raise UserError(
        f'The signature {signature!r} of {source.directory} has no outputs; those that'
        f' have are {", ".join(others) or "none"}.')
  outputs = {signature: selection.select(signatures[signature])}
  if keep_other_signatures:
    outputs |= {name: keys for name, keys in signatures.items()
                if name != signature}
  return outputs

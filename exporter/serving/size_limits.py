"""How large a response may be, and what to say of one that is larger.

    limits = SizeLimits(grpc=parse_size('4MiB', 'max_grpc'))
    excess(static_payload('exported', signature), limits)  # None where it fits.
"""

from __future__ import annotations

import dataclasses
import re

from exporter.errors import UserError
from exporter.serving.payload_sizes import Payload, format_bytes

_UNITS = {'': 1, 'b': 1, 'kb': 10**3, 'mb': 10**6, 'gb': 10**9,
          'kib': 2**10, 'mib': 2**20, 'gib': 2**30}
_SIZE = re.compile(r'(\d+(?:\.\d+)?)\s*([a-z]*)', re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class SizeLimits:
  """The most bytes of one response; None where it may be of any size.

  Attributes:
    grpc: of a `PredictResponse`.
    rest: of the JSON, in the shorter form that the server gives.
  """
  grpc: int | None = None
  rest: int | None = None


def parse_size(text: str, name: str) -> int:
  """Bytes of a text such as `4MB`, `512 kB`, `4MiB` or `4194304`.

    >>> parse_size('4MB', 'limit'), parse_size('4MiB', 'limit')
    (4000000, 4194304)

  Args:
    text: a number and a unit; of 1000 as kB, MB, GB, of 1024 as KiB, MiB, GiB.
    name: of the flag, for the sentence.

  Raises:
    UserError: it is not of that form, or less than a byte.
  """
  match = _SIZE.fullmatch(text.strip())
  unit = None if match is None else _UNITS.get(match[2].lower())
  size = 0 if unit is None else int(float(match[1]) * unit)
  if size < 1:
    raise UserError(
        f'{name} is {text!r}; it must be a number of bytes above 0, such as 500kB,'
        ' 4MB (4,000,000), 4MiB (4,194,304) or 4194304.')
  return size


@dataclasses.dataclass(frozen=True)
class _Response:
  """A response on one protocol: its limit, its size, and that of each output.

  Sizes are None where unknown.
  """
  protocol: str
  limit: int
  size: int | None
  outputs: dict[str, int | None]
  is_estimate: bool

  @property
  def least(self) -> int:
    """What it has at least."""
    if self.size is not None:
      return self.size
    return sum(size for size in self.outputs.values() if size is not None)


def excess(payload: Payload, limits: SizeLimits) -> str | None:
  """One line that says by what a response is too large; None where it fits.

  A server that gives no JSON gives none that is too large.

  Raises:
    UserError: the shapes do not tell whether a response fits.
  """
  responses = _limited_responses(payload, limits)
  subject = f'response of {payload.signature} of {payload.saved_model_dir}'
  too_large = [_sentence_part(r) for r in responses if r.least > r.limit]
  if too_large:
    return f'A {subject} is too large: {"; ".join(too_large)}.'
  for response in responses:
    if response.size is None:
      unknown = ', '.join(k for k, size in response.outputs.items() if size is None)
      raise UserError(
          f'Whether a {subject} keeps to {response.limit:,} bytes on'
          f' {response.protocol} is not known from the signature, which leaves the'
          f' size of {unknown} open; measure it with --image.')
  return None


def _limited_responses(payload: Payload, limits: SizeLimits) -> list[_Response]:
  form = payload.rest_form
  responses = []
  if limits.grpc is not None:
    responses.append(_Response(
        'gRPC', limits.grpc, payload.grpc_bytes,
        {o.key: o.grpc_bytes for o in payload.outputs}, False))
  if limits.rest is not None and form is not None:
    responses.append(_Response(
        'REST', limits.rest, payload.rest_bytes(form),
        {o.key: o.rest_bytes(form) for o in payload.outputs},
        payload.measured_on is None))
  return responses


def _sentence_part(response: _Response) -> str:
  known = {key: size for key, size in response.outputs.items() if size is not None}
  largest = max(known, key=known.get)
  about = 'about ' if response.is_estimate else ''
  more = 'more than ' if response.size is None else ''
  return (f'{more}{about}{format_bytes(response.least)} ({response.least:,} bytes) on'
          f' {response.protocol}, where {response.limit:,} bytes are the limit;'
          f' {largest} has {format_bytes(known[largest])} of them')

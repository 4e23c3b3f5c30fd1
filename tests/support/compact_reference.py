"""What compact options mean, in NumPy on the outputs of the stock export."""

import numpy as np

MASKS = 'detection_masks'


def compact_in_numpy(stock, kept, min_score=None, max_detections=None,
                     mask_threshold=None, dtypes=None):
  """The outputs that a compact export returns.

  Args:
    stock: all outputs of the model by key, with their batch dimension.
    kept: keys of those that stay.
    min_score: as the flag.
    max_detections: the same.
    mask_threshold: the same.
    dtypes: by key, with no patterns.
  """
  dtypes = dict(dtypes or {})
  outputs = {key: stock[key] for key in kept}
  if mask_threshold is not None:
    outputs[MASKS] = np.float32(stock[MASKS] >= np.float32(mask_threshold))
    dtypes.setdefault(MASKS, 'uint8')
  elif dtypes.get(MASKS) == 'uint8':
    outputs[MASKS] = np.round(stock[MASKS] * np.float32(255))
  if min_score is not None or max_detections is not None:
    images = [_rows(scores, int(count), min_score, max_detections)
              for scores, count in zip(stock['detection_scores'],
                                       stock['num_detections'])]
    for key, output in outputs.items():
      if key == 'num_detections':
        outputs[key] = np.array([len(rows) for rows in images], np.float32)
      elif key.startswith('detection_'):
        outputs[key] = _taken(output, images)
  return {key: output.astype(dtypes.get(key, 'float32'))
          for key, output in outputs.items()}


def _rows(scores, count, min_score, max_detections):
  rows = [i for i in range(count)
          if min_score is None or scores[i] >= np.float32(min_score)]
  return rows[:max_detections]


def _taken(output, images):
  longest = max(map(len, images), default=0)
  taken = np.zeros([len(images), longest, *output.shape[2:]], output.dtype)
  for i, rows in enumerate(images):
    taken[i, :len(rows)] = output[i][rows]
  return taken

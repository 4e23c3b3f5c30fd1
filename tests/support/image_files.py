"""Small image files of every kind that people send, made by Pillow."""

from __future__ import annotations

import pathlib

import numpy as np
from PIL import Image

# Those that stock's exports decode.
STILL = ('rgb.jpg', 'cmyk.jpg', 'gray.jpg', 'turned.jpg', 'progressive.jpg', 'rgb.png',
         'palette.png', 'palette_alpha.png', 'alpha.png', 'gray.png', 'gray_alpha.png',
         'bits_16.png', 'one_bit.png', 'rgb.bmp', 'gray.bmp')


def write_image_files(folder: pathlib.Path) -> list[pathlib.Path]:
  """Writes `STILL`, two GIFs and the first frame of each as PNG."""
  noise = np.random.default_rng(3).integers(256, size=(40, 56, 4), dtype=np.uint8)
  rgb = Image.fromarray(noise[..., :3])
  turned = Image.Exif()
  turned[0x0112] = 6  # Orientation: to be turned by 90 degrees.
  pictures = {
      'rgb.jpg': (rgb, {}), 'cmyk.jpg': (rgb.convert('CMYK'), {}),
      'gray.jpg': (rgb.convert('L'), {}), 'turned.jpg': (rgb, {'exif': turned}),
      'progressive.jpg': (rgb, {'progressive': True}),
      'rgb.png': (rgb, {}), 'palette.png': (rgb.quantize(17), {}),
      'palette_alpha.png': (rgb.quantize(17), {'transparency': 3}),
      'alpha.png': (Image.fromarray(noise), {}), 'gray.png': (rgb.convert('L'), {}),
      'gray_alpha.png': (rgb.convert('LA'), {}),
      'bits_16.png': (Image.fromarray(
          noise[..., 0].astype(np.uint16) * 255 + noise[..., 1]), {}),
      'one_bit.png': (rgb.convert('1'), {}), 'rgb.bmp': (rgb, {}),
      'gray.bmp': (rgb.convert('L'), {}),
  }
  frames = [rgb.quantize(255), rgb.transpose(Image.Transpose.ROTATE_180).quantize(255)]
  pictures['still.gif'] = pictures['moving.gif'] = (frames[0], {})
  pictures['moving.gif'] = (frames[0], {'save_all': True, 'append_images': frames[1:]})
  for name, (picture, options) in pictures.items():
    picture.save(folder / name, **options)
  for name in ('still', 'moving'):
    with Image.open(folder / f'{name}.gif') as gif:
      gif.convert('RGB').save(folder / f'{name}_frame.png')
  return sorted(folder.iterdir())

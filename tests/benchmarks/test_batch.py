"""What the benchmark of many images makes of its seconds."""

from benchmarks.batch import Timed


def test_start_up_is_told_from_what_images_cost():
  # 10 s to start, 0.5 s an image; the second round as a whole ran on a slower machine.
  timed = Timed(images=80, all=[50, 110, 50], quarter=[20, 50, 20])
  assert timed.images_per_second == 2
  assert timed.start_up == 10

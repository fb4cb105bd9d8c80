import numpy as np

from monai_transfer.simulation.head_shape import draw_head_shape


def test_a_seed_gives_one_head_shape():
    one, same, other = (draw_head_shape(np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert one == same != other

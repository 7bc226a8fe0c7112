"""Overlapping calls from several threads leave the caller's settings as they were."""

import torch

from genmem.models.single_thread import single_thread


def test_overlapping_contexts_restore_the_first_setting() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        first, second = single_thread(), single_thread()
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert torch.get_num_threads() == 1
        second.__exit__(None, None, None)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)

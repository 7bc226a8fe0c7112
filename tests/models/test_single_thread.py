"""Overlapping calls from several threads leave the caller's settings as they were."""

import threading

import torch

from genmem.models.single_thread import single_thread


def flushes_denormals() -> bool:
    return not float(torch.tensor([1e-310], dtype=torch.float64) * 1.0)


def test_the_settings_come_back() -> None:
    with single_thread():
        assert torch.get_num_threads() == 1
        assert flushes_denormals()
    assert not flushes_denormals()


def test_overlapping_calls_restore_the_number_of_threads() -> None:
    """One thread enters, the other enters, the first leaves, the second leaves."""
    both_inside, first_left = threading.Event(), threading.Event()
    seen: list[int] = []

    def first() -> None:
        with single_thread():
            both_inside.wait(10)
        first_left.set()

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        other = threading.Thread(target=first)
        other.start()
        with single_thread():
            both_inside.set()
            first_left.wait(10)
            seen.append(torch.get_num_threads())
        other.join()
        assert seen == [1]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert not flushes_denormals()

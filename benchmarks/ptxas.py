"""What the compiler says of each CUDA kernel: registers, spills, and how many threads fit.

    python benchmarks/ptxas.py        a table for benchmarks/README.md; needs nvcc, no card

Occupancy is computed from the report and the limits of a multiprocessor: warps that are resident at
once as a share of the most that it holds. Shared memory is asked for at launch, so the compiler
cannot report it: SHARED repeats what the launchers ask for.
"""

import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]


class Multiprocessor(NamedTuple):
    warps: int
    blocks: int
    registers: int
    shared: int  # bytes


# CUDA C++ programming guide, technical specifications per compute capability.
LIMITS = {
    "sm_80": Multiprocessor(64, 32, 65536, 164 << 10),
    "sm_90": Multiprocessor(64, 32, 65536, 228 << 10),
    "sm_100": Multiprocessor(64, 32, 65536, 228 << 10),
}
TILE = 2 * 64 * 17 * 8  # two sides of 64 rows, 17 doubles apart
WIDE_TILE = 2 * 32 * 17 * 8
SHARED = {
    "all_distances<false>": TILE,
    "all_distances<true>": WIDE_TILE,
    "look_at_entries": 0,
    "near_hits<false>": TILE,
    "near_hits<true>": WIDE_TILE,
    "find_hits": 4 * 2 * 128 * 64,  # stages, sides, rows of 32 bfloat16
    "count_pairs": 4 * 2 * 128 * 64,
    "centre_columns": 256 * 8,
    "set_unit": 0,
    "pack_rows": 0,
    "settle_hits": 0,
    "rank_hits": 0,
    "rescue_query": 0,
    "put_neighbours": 0,
    "limit_radius": 0,
    "near_counts<false>": TILE,
    "near_counts<true>": WIDE_TILE,
    "count_hits": 0,
    "chunk_states": 0,
    "clear_states": 0,
    "narrow_hits": 0,
    "spread_hits": 0,
    "decide": 0,
    "put_log_density": 0,
    "add_gradient": 256 * 12 + 8 * 4,
    # stages of one, two or three parts, plane, tokens
    "add_tensor_products<1>": 2 * 1 * 256 * 64 + 128 * 128 * 4 + 256 * 5,
    "add_tensor_products<2>": 2 * 2 * 256 * 64 + 128 * 128 * 4 + 256 * 5,
    "add_tensor_products<3>": 2 * 3 * 256 * 64 + 128 * 128 * 4 + 256 * 5,
    "add_wide_products": 2 * 16 * 64 * 8 + 64 * 64 * 8 + 128 * 9,
    "add_pairs": 4 * 8,
    "add_bounds": 0,
    "add_sizes": 0,
    "scale_tokens": 0,
    "split_tokens": 0,
    "keep_strongest<false>": 0,
    "keep_strongest<true>": 0,
    "rank_strongest": 0,
    "gather_kept": 0,
    "place_products": 0,
    "scatter_products": 0,
}


class Kernel(NamedTuple):
    source: str
    name: str
    architecture: str
    registers: int
    stack: int  # bytes of a thread
    spills: int  # bytes stored
    threads: int

    @property
    def blocks(self) -> int:
        """Blocks that a multiprocessor holds at once."""
        limits, warps = LIMITS[self.architecture], self.threads // 32
        # Registers come in groups of 256 for a warp, shared memory with 1 KiB for the system.
        of_a_warp = -(-self.registers * 32 // 256) * 256
        return min(
            limits.blocks,
            limits.warps // warps,
            limits.registers // of_a_warp // warps,
            limits.shared // (-(-SHARED[self.name] // 128) * 128 + 1024),
        )

    @property
    def occupancy(self) -> float:
        return self.blocks * self.threads / 32 / LIMITS[self.architecture].warps


def compiled(source: Path, architecture: str) -> list[Kernel]:
    """Kernels of a source, as ptxas reports them; threads are those of its launch bounds."""
    number = architecture.removeprefix("sm_")
    options = ["-std=c++17", "-O3", "--fmad=false", f"-I{ROOT / 'csrc'}", "-DGENMEM_ISA=cuda"]
    common = ["nvcc", *options, str(source)]
    done = subprocess.run(
        [*common, f"-gencode=arch=compute_{number},code={architecture}", "-Xptxas=-v", "-cubin",
         "-o", "/dev/null"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    ptx = subprocess.run(
        [*common, f"-arch=compute_{number}", "-ptx", "-o", "-"],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    threads = dict(re.findall(r"\.entry (\w+)\(.*?\.maxntid (\d+)", ptx, re.DOTALL))
    report = re.findall(
        r"Compiling entry function '(\w+)'.*?(\d+) bytes stack frame, (\d+) bytes spill stores"
        r".*?Used (\d+) registers",
        done.stderr,
        re.DOTALL,
    )
    names = plain([symbol for symbol, *_ in report])
    return [
        Kernel(source.parent.name, names[symbol], architecture, int(registers), int(stack),
               int(spills), int(threads[symbol]))
        for symbol, stack, spills, registers in report
    ]  # fmt: skip


def plain(symbols: list[str]) -> dict[str, str]:
    """Names without namespaces and arguments."""
    done = subprocess.run(["c++filt", *symbols], check=True, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    found = [re.search(r"(\w+(?:<[^<>]*>)?)\(genmem", line) for line in lines]
    return {symbol: one[1] for symbol, one in zip(symbols, found, strict=True) if one}


def holds_kernels(source: Path) -> bool:
    """Whether it or a header of its folder has any; the device layer defines what they are."""
    if source.parent.name == "device":
        return False
    files = [source, *source.parent.glob("*.hpp")]
    return any("GENMEM_KERNEL" in file.read_text() for file in files)


def every_kernel() -> list[Kernel]:
    sources = sorted((ROOT / "csrc" / "kernels").glob("*/cuda.cu"))
    holding = [source for source in sources if holds_kernels(source)]
    return [one for source in holding for name in LIMITS for one in compiled(source, name)]


def table(kernels: list[Kernel]) -> str:
    head = ("kernel", "threads", "shared, KiB", "architecture", "registers", "spilled, bytes",
            "blocks", "occupancy")  # fmt: skip
    rows = [
        (f"{one.source}: {one.name}", one.threads, f"{SHARED[one.name] / 1024:.1f}",
         one.architecture, one.registers, one.spills, one.blocks, f"{one.occupancy:.0%}")
        for one in sorted(kernels, key=lambda one: (one.source, one.name))
    ]  # fmt: skip
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


if __name__ == "__main__":
    sys.stdout.write(table(every_kernel()) + "\n")

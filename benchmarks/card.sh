#!/usr/bin/env bash
# All checks that need a card, one after another, into one file: the tests, the sanitizers of CUDA,
# the benchmarks. From the checkout, with genmem installed:
#
#   benchmarks/card.sh [results.md]
#
# PYTHON names the interpreter, else .venv/bin/python. Ends with 1 where anything failed.
set -uo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
results=${1:-card-results.md}
failed=0

if ! "$python" -c 'import sys; from genmem import _core; why = _core.card_states()["cuda"]; sys.exit(f"cuda: {why}" if why else 0)'; then
  exit 1
fi

{
  printf '# Card checks, %s\n\n```\n' "$(date -u +%Y-%m-%d)"
  nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader
  git rev-parse HEAD
  "$python" -m genmem config 2>/dev/null || "$(dirname "$python")/genmem" config
  printf '```\n'
} >"$results"

# name, then a command: its last lines, and whether it failed.
check() {
  local name=$1
  shift
  printf '\n## %s\n\n```\n' "$name" >>"$results"
  if "$@" >card-check.log 2>&1; then said=passed; else said=FAILED failed=1; fi
  tail -n 15 card-check.log >>"$results"
  printf '```\n%s\n' "$said" >>"$results"
  printf '%s: %s\n' "$name" "$said"
}

check "tests of the card" "$python" -m pytest -q tests/gpu
check "tests of the kernels" "$python" -m pytest -q tests/kernels -k "cuda and not emulated"
# Under the sanitizers a launch waits for the one before, and torch's store would hide what lies
# beyond an array.
export PYTORCH_NO_CUDA_MEMORY_CACHING=1
small=("$python" -m pytest -q -x -p no:cacheprovider -k "not waited_for and not memory_is_torchs"
  tests/gpu/test_tensors.py tests/gpu/test_grad_dot.py)
check "memcheck" compute-sanitizer --tool memcheck --error-exitcode 1 "${small[@]}"
check "racecheck" compute-sanitizer --tool racecheck --error-exitcode 1 "${small[@]}"
unset PYTORCH_NO_CUDA_MEMORY_CACHING
printf '\n## Benchmarks\n\n' >>"$results"
if ! "$python" benchmarks/card.py --results "$results"; then
  printf 'FAILED\n' >>"$results"
  failed=1
fi
rm -f card-check.log
printf 'written to %s\n' "$results"
exit $failed

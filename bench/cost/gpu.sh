#!/bin/sh
# All that docs/performance.md tells of a GPU, in one call, what is wanted most first. Called again it goes on: rows are
# kept as they come, and what was finished is not measured again.
#
#   sh bench/cost/gpu.sh OUTPUT SMALL LARGE [WORD ...]
#
# SMALL and LARGE are datasets, say cifar10 and imagewoof, or folder:PATH of some thousand pictures of their sizes: times
# per step do not depend on what they show. WORDs, settings, go to every command that trains. By environment variables:
# DATA_ROOT (data), DEVICE (cuda), SIZE (128, pixels of LARGE's views), EPOCHS (30, of the runs), TARGET (0.6, the kNN
# accuracy the time to which is told), GRID (of the objectives: --batch-sizes 64,256,1024 --widths 512,2048,8192),
# PYTHON (python).
set -u
[ $# -ge 3 ] || { sed -n '2,12s/^# \{0,1\}//p' "$0"; exit 2; }
output=$1 small=$2 large=$3
shift 3
device=${DEVICE:-cuda} python=${PYTHON:-python} failed=0
mkdir -p "$output/done" || exit 2

# $1: a name; the others: what to run.
once() {
    name=$1
    shift
    [ -e "$output/done/$name" ] && return
    echo "gpu.sh: $name"
    if "$@"; then touch "$output/done/$name"; else echo "gpu.sh: $name failed" >&2; failed=1; fi
}

bench="$python -m bench"
place="--data-root ${DATA_ROOT:-data} --device $device"
cost="$bench cost $place --preset standard"

# shellcheck disable=SC2086
{
    [ "$device" = cpu ] || once tests $python -m pytest -q tests/bench/test_graphs.py tests/bench/test_gpu.py tests/bench/test_synchronisation.py
    once steps $cost --dataset "$small" --what step,turns --trace --methods barlow,smi,vicreg,simclr,byol \
        --output "$output/small" "$@"
    once peers $cost --dataset "$small" --what peers --output "$output/small" "$@"
    once large $cost --dataset "$large" --what step,peers --methods barlow,smi --output "$output/large" \
        image_size="${SIZE:-128}" "$@"
    once objectives $cost --what objective --methods barlow,vicreg,simclr,smi,spectral,minc ${GRID:-} \
        --output "$output/objective"
    once runs $bench run $place --preset standard --methods smi,barlow --seeds 3 --recipe none --dataset "$small" \
        --output "$output/runs" epochs="${EPOCHS:-30}" optimizer.name=adamw optimizer.lr=0.001 "$@"
    once target $bench report "$output/runs" --knn-target "${TARGET:-0.6}"
    once views $cost --dataset "$small" --what views,rest --output "$output/small" "$@"
}
echo "gpu.sh: written to $output"
exit $failed

#!/bin/sh
# What docs/performance.md wants to know of a GPU, in one call from the repository's root, the most wanted first. Called
# again with the same words it goes on with the first item that was not finished.
#
#   sh bench/cost/gpu.sh OUTPUT SMALL LARGE [WORD ...]
#
# SMALL and LARGE are datasets, say cifar10 and imagewoof, or folder:PATH of some thousand pictures of their sizes. WORDs,
# settings, go to every command that trains. By environment variables: DATA_ROOT (data), DEVICE (cuda), SIZE (128, pixels
# of LARGE's views), EPOCHS (30, of the runs), TARGET (60, the kNN accuracy in percent that is waited for), STUDY (cost,
# which `python -m bench claims OUTPUT` judges), PYTHON (python).
set -u
[ $# -ge 3 ] && [ -d bench/cost ] || { sed -n '2,11s/^# \{0,1\}//p' "$0" >&2; exit 2; }
output=$1 small=$2 large=$3
shift 3
data=${DATA_ROOT:-data} device=${DEVICE:-cuda} python=${PYTHON:-python} failed=0 child=
mkdir -p "$output/done" || exit 2
trap 'kill "$child" 2>/dev/null; exit 130' INT TERM

# Each is run in a process of its own, which `exec` makes that of Python: a signal finds it.
tests() { exec "$python" -m pytest -q "$@"; }
bench() { command=$1; shift; exec "$python" -m bench "$command" --data-root "$data" --device "$device" "$@"; }
cost() { bench cost --preset standard "$@"; }
report() { exec "$python" -m bench report "$@"; }

# $1: its name; the others: what to run. Finished with the same words, it is not run again.
once() {
    done=$output/done/$1
    shift
    [ -e "$done" ] && [ "$(cat "$done")" = "$*" ] && return
    echo "gpu.sh: $*"
    "$@" &
    child=$!
    if wait "$child"; then echo "$*" >"$done"; else echo "gpu.sh: failed: $*" >&2; failed=1; fi
}

[ "$device" = cpu ] || once tests tests tests/bench/test_graphs.py tests/bench/test_gpu.py \
    tests/bench/test_synchronisation.py tests/bench/augment
once steps cost --dataset "$small" --what step --trace --methods smi,barlow --output "$output/small" "$@"
once peers cost --dataset "$small" --what peers --output "$output/small" "$@"
once large cost --dataset "$large" --what step,peers --methods smi,barlow --output "$output/large" \
    image_size="${SIZE:-128}" "$@"
once study bench study "${STUDY:-cost}" --output "$output"
once runs bench run --preset standard --methods smi,barlow --seeds 3 --recipe none --dataset "$small" \
    --output "$output/runs" epochs="${EPOCHS:-30}" optimizer.name=adamw optimizer.lr=0.001 "$@"
[ ! -e "$output/done/runs" ] || once target report "$output/runs" --knn-target "${TARGET:-60}" \
    --columns linear,knn,minutes_to_knn,images_per_second
once views cost --dataset "$small" --what views,rest,turns --output "$output/small" "$@"
echo "gpu.sh: written to $output"
exit $failed

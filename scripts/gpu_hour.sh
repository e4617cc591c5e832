#!/usr/bin/env bash
# Trains everything on a machine with a GPU and 16 cores, which need not have a network, from a carried pack.
#
#   python -m iad data pack --output pack.zip             on a machine that has the data
#   scripts/gpu_hour.sh pack.zip OUT                       on the machine with the GPU; again, to go on
#
# OUT gets at most 8 files of at most 16 MiB, the weights with their card; what they are made from stays in runs/.
# Set WHEELS to a folder of wheels to install from; else the network serves, where there is one.
# MINUTES (12) are those of all calls together, PAUSE (6) of this one, PRESET is mini or mini-large, ARMS whose
# adapters learn beside iad; DEVICE=cpu rehearses.
set -euo pipefail

pack=${1:?usage: scripts/gpu_hour.sh PACK OUT}
out=${2:?usage: scripts/gpu_hour.sh PACK OUT}
python=${PYTHON:-python3}
preset=${PRESET:-mini}
# mini-large with all arms is more than 8 files hold
default_arms="iad consisid id-animator consisid-cross entangled"
[ "$preset" = mini-large ] && default_arms="iad"
read -ra arms <<< "${ARMS:-$default_arms}"

cd "$(dirname "$0")/.."

missing() { "$python" -c 'from iad.training import timetable as r; print(*r.list_missing(r.NEEDED | r.RECOGNISER))'; }

# torch is never replaced: a build that finds the GPU is worth more than the tested version.
lacking=$(missing)
if [ -n "$lacking" ]; then
    if [ -n "${WHEELS:-}" ]; then
        from=(--no-index --find-links "$WHEELS")
    else
        from=(--retries 1 --timeout 10)
    fi
    # shellcheck disable=SC2086
    "$python" -m pip install --quiet --disable-pip-version-check "${from[@]}" $lacking ||
        echo "Not everything could be installed; what is missing is said next." >&2
fi

export OMP_NUM_THREADS=${OMP_NUM_THREADS:-4} OMP_WAIT_POLICY=PASSIVE
exec "$python" -m iad train mini --preset "$preset" --arm "${arms[@]}" --pack "$pack" --output "${RUNS:-runs}" \
    --minutes "${MINUTES:-12}" --pause "${PAUSE:-6}" --resume --device "${DEVICE:-cuda}" --shards "$out"

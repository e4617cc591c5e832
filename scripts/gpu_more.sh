#!/usr/bin/env bash
# Goes on training weights that are there, on a machine with a GPU and many cores that need not have a network.
# Stages run side by side, each in a process of its own, so that none waits for another's batches.
#
#   scripts/gpu_more.sh data PACK            lays a carried pack out and renders clips and stills, in the background
#   scripts/gpu_more.sh train WEIGHTS OUT    trains for MINUTES (8), begins from WEIGHTS, leaves 16-MiB files in OUT
#   scripts/gpu_more.sh ablations OUT        leaves the splits without one term each in OUT
#
# All of it stays in WORK (runs). DEVICE=cpu rehearses; CLIPS (3840) bounds what is rendered.
set -euo pipefail

what=${1:?usage: scripts/gpu_more.sh data PACK | train WEIGHTS OUT | ablations OUT}
work=$(realpath -m "${WORK:-runs}")
device=${DEVICE:-cuda}
cd "$(dirname "$0")/.."
mkdir -p "$work"

export IAD_ICT_FACEKIT=$work/pack/ict/ict_facekit.npz IAD_PHOTO_PEOPLE=$work/pack/people IAD_MINILM=$work/pack/minilm
export OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false PYTHONUNBUFFERED=1
python=${PYTHON:-python3}
arms="iad consisid id-animator consisid-cross entangled"

make_data() {
    mkdir -p "$work/clips"
    "$python" -c "import sys; from pathlib import Path as P; from iad.training import packs
packs.unpack(P(sys.argv[1]), P(sys.argv[2]))" "$1" "$work/pack"
    (nice "$python" -m iad data render --output "$work/clips" --clips "${CLIPS:-3840}" --workers "$(nproc --all)" \
        > "$work/clips.log" 2>&1; touch "$work/rendered") &
    # its first step waits for the stills, which it makes
    nice "$python" -m iad train reader --device "$device" --steps 1 --data "$work/clips" \
        --output "$work/first" > "$work/stills.log" 2>&1 &
}

# STAGE, seconds that it needs before and after its minutes, further words
start() {
    local stage=$1 spare=$2
    shift 2
    mkdir -p "$work/$stage"
    [ -d "$work/$stage/weights" ] || cp -r "$weights" "$work/$stage/weights"
    local left=$((deadline - SECONDS - spare))
    if ((left < 10)); then
        echo "$stage: no time is left" >&2
        return
    fi
    (timeout -k 5 $((left + spare + 20)) "$python" -m iad train "$stage" --device "$device" --data "$work/clips" \
        --output "$work/$stage" --minutes "$("$python" -c "print($left / 60)")" "$@" \
        > "$work/$stage.log" 2>&1 && touch "$work/$stage/done" || echo "$stage failed" >&2) &
}

share() { # of MINUTES
    "$python" -c "print($1 * ${MINUTES:-8})"
}

await() { # FILE, until SECONDS
    while [ ! -e "$1" ] && ((SECONDS < $2)); do sleep 0.5; done
}

gather() {
    "$python" - "$work" "$out" <<'END'
import shutil, sys
from pathlib import Path
from iad import checkpoint
from iad.config import CONTROLS, PRESETS
from iad.models.parts import arm_part
from iad.training.packs import write_shards
from iad.training.timetable import PLAN

work, out = map(Path, sys.argv[1:])
made = work / "more"
checkpoint.save_preset(made, PRESETS["mini"])
for stage in ("performing", "reader", "autoencoder", "joint"):
    if not (work / stage / "done").exists():
        continue
    arms = ("consisid", "id-animator", *CONTROLS) if stage == "joint" else ()
    for part in (*PLAN[stage].writes, *map(arm_part, arms)):
        checkpoint.save_part(made, part, checkpoint.load_part(work / stage / "weights", part), half=True)
    run = work / stage / stage
    for file in [*run.glob("log.jsonl"), *sorted(run.glob("pictures/*.png"))[-1:]]:
        shutil.copyfile(file, made / f"{stage}{file.suffix}")
print(*write_shards(made, out), sep="\n")
END
}

case $what in
data)
    make_data "${2:?PACK is missing}"
    ;;
train)
    weights=$(realpath "${2:?WEIGHTS is missing}") out=$(realpath -m "${3:?OUT is missing}")
    mkdir -p "$out"
    deadline=$(($("$python" -c "print(round(60 * ${MINUTES:-8}))")))
    start performing 10
    await "$work/rendered" 100
    start decoupler 0 --minutes "$(share 0.1)"
    await "$work/clips/stills/stills.npz" 150
    start reader 15
    start autoencoder 10
    await "$work/decoupler/done" 200
    weights=$work/decoupler/weights
    # shellcheck disable=SC2086
    start joint 55 --arm $arms
    await "$work/joint/joint/log.jsonl" $((deadline - 60)) # for both prepare what is new
    start ablations 80
    wait
    tail -vqc 900 "$work"/*.log | tr '\r' '\n' | tail -n 60
    gather
    ;;
ablations)
    out=$(realpath -m "${2:?OUT is missing}")
    "$python" - "$work" "$out" <<'END'
import sys
from pathlib import Path
from iad.training.packs import write_shards

work, out = map(Path, sys.argv[1:])
print(*write_shards(work / "ablations" / "ablations", out), sep="\n")
END
    ;;
*)
    echo "There is no '$what'; choose data, train or ablations." >&2
    exit 2
    ;;
esac

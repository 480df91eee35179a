#!/usr/bin/env bash
# Ends what test runs left behind and removes their folders and the data templates.
#
# A server dies with its test; this is for the day the machine, or somebody's `kill -9` of a whole
# session, was quicker. Touches only processes whose data is in a folder that the harness made.
set -euo pipefail

cache=${TIDEGATE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tidegate}
shopt -s nullglob
for folder in "${TMPDIR:-/tmp}"/tidegate-*/; do
    folder=${folder%/}
    for process in /proc/[0-9]*; do
        if tr '\0' '\n' <"$process/cmdline" 2>/dev/null | grep -qE "^(--datadir=)?$folder(/.*)?$"; then
            if [ "${process#/proc/}" != "$$" ]; then
                kill -9 "${process#/proc/}" 2>/dev/null || true
            fi
        fi
    done
    rm -rf "$folder"
done
if command -v ip >/dev/null; then
    for namespace in $(ip netns list | grep -oE '^tidegate-[0-9]+'); do
        ip netns del "$namespace"
    done
fi
rm -rf "$cache/templates"
echo "test servers and their data are gone"

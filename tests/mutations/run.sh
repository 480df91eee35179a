#!/usr/bin/env bash
# Does the replay notice a Tidegate that is wrong? Each patch beside this script makes it wrong in one
# way; the replay must then fail where it passes on the tree as it is. Ends with a table, and with 1
# if a mutation survives.
#
#   tests/mutations/run.sh [NAME ...]    those only, by the names of their patches
#   SECONDS_OF_CHANCE=20                 how long scripts of chance are played, on each flavor
#   CHANCE=always                        also where a story has caught the mutation already
#   TIDEGATE_REPLAY_SEED=1               the scripts of chance
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
root=$PWD
chance_seconds=${SECONDS_OF_CHANCE:-20}
export TIDEGATE_REPLAY_SEED=${TIDEGATE_REPLAY_SEED:-1}
export TIDEGATE_REPLAY_SECONDS=$chance_seconds
export CARGO_TERM_COLOR=never

# Always the same place, so that what was built stays good from one mutation, and one run, to the next.
place=$root/target/mutations
tree=$place/tree
export CARGO_TARGET_DIR=$place/target
log=$place/log
mkdir -p "$log"
trap 'rm -rf "$tree"' EXIT

die() {
    echo "$*" >&2
    exit 2
}

fresh_tree() {
    rm -rf "$tree"
    mkdir -p "$tree"
    git ls-files -z --cached | while IFS= read -r -d '' file; do
        if [ -e "$file" ]; then printf '%s\0' "$file"; fi
    done | xargs -0 cp --parents -t "$tree"
}

# What failed, a line each: where and what, a tab, the first line of the difference on either side.
failures() {
    awk '
        function flush() {
            if (key != "" && !(key in seen)) {
                seen[key] = found = 1
                if (left == "") said = "no connection"
                else if (left == right) said = left ", of other bytes"
                else said = short(left) " became " short(right)
                print key "\t" said
            }
            key = left = right = ""
        }
        function short(text) { return length(text) > 90 ? substr(text, 1, 87) "..." : text }
        function packet(line) { sub(/^ *(\[[0-9]+\] [0-9]+ bytes, )?/, "", line); sub(/[, ]+$/, "", line); return line }
        function section_ends() {
            flush()
            if (test != "" && !found) print flavor ": the " kind " broke off\t" panic
            test = ""
        }
        /^---- .* stdout ----$/ {
            section_ends()
            test = $2
            found = 0
            panic = ""
            flavor = $2 ~ /mariadb/ ? "MariaDB" : "MySQL"
            chance = $2 ~ /chance/
            kind = chance ? "chance" : "stories"
        }
        !chance && /^"/ {
            flush()
            name = $0
            sub(/": no connection.*/, "\"", name)
            key = flavor ": " name
        }
        chance && /^[0-9]+ connections, / {
            flush()
            name = $0
            sub(/^[0-9]+ connections, (: )?/, "", name)
            key = flavor ": chance, " name
        }
        /^(failures:|stack backtrace:|note: )/ { flush() }
        /^failures:/ { section_ends() }
        panicked { panic = $0 }
        { panicked = /panicked at/ }
        key != "" && wait == 1 { left = packet($0) }
        key != "" && wait == 2 { right = packet($0) }
        { wait = 0 }
        key != "" && left == "" && /^straight:$/ { wait = 1 }
        key != "" && right == "" && /^through Tidegate:$/ { wait = 2 }
        key != "" && left ~ /^no packet$/ && right ~ /^no packet$/ && /^broken: / {
            left = "as straight"
            right = packet(substr($0, 9))
        }
        END { section_ends() }
    ' "$1" | sort -u
}

build() {
    (cd "$tree" && cargo test --locked --test replay --no-run) >"$1" 2>&1
}

# Plays one kind, `stories` or `chance`, of the tree as it is now; what failed goes to $2.failed.
play() {
    local code=0
    (cd "$tree" && cargo test --locked --test replay "$1") >"$2" 2>&1 || code=$?
    failures "$2" >"$2.failed"
    if [ "$code" -ne 0 ] && [ ! -s "$2.failed" ]; then
        printf '%s\t%s\n' "the $1 did not run" "$(tail -1 "$2")" >"$2.failed"
    fi
}

# Failures of $1 that the tree without a mutation does not have.
news() {
    # Not by NR == FNR: the first file is empty when all is well.
    awk -F '\t' -v before="$2.failed" '
        BEGIN { while ((getline line < before) > 0) { split(line, part, "\t"); known[part[1]] } }
        !($1 in known)
    ' "$1.failed"
}

row() { printf '| %s | %s | %s | %s |\n' "$@"; }

mutations=("$@")
if [ $# -eq 0 ]; then
    for patch in tests/mutations/*.patch; do mutations+=("$(basename "$patch" .patch)"); done
fi

fresh_tree
for name in "${mutations[@]}"; do
    [ -f "tests/mutations/$name.patch" ] || die "there is no tests/mutations/$name.patch"
    patch --directory="$tree" --strip=1 --fuzz=0 --dry-run --silent <"tests/mutations/$name.patch" ||
        die "tests/mutations/$name.patch does not apply any more"
done

echo "The tree without a mutation ..." >&2
build "$log/build" || die "the tree does not build: $log/build"
for kind in stories chance; do
    play "$kind" "$log/none-$kind"
    if [ -s "$log/none-$kind.failed" ]; then
        echo "The $kind fail without a mutation; what fails here too proves nothing below:" >&2
        cut -f 1 "$log/none-$kind.failed" | sed 's/^/  /' >&2
    fi
done

survivors=()
table=()
for name in "${mutations[@]}"; do
    echo "$name ..." >&2
    started=$SECONDS
    patch --directory="$tree" --strip=1 --fuzz=0 --silent <"tests/mutations/$name.patch"
    build "$log/$name-build" || die "$name does not build: $log/$name-build"
    found=
    for kind in stories chance; do
        if [ "$kind" = chance ] && [ -n "$found" ] && [ "${CHANCE:-}" != always ]; then continue; fi
        play "$kind" "$log/$name-$kind"
        found+=$(news "$log/$name-$kind" "$log/none-$kind")
        if [ -n "$found" ]; then found+=$'\n'; fi
    done
    patch --directory="$tree" --strip=1 --fuzz=0 --silent --reverse <"tests/mutations/$name.patch"
    took=$((SECONDS - started))
    if [ -z "$found" ]; then
        survivors+=("$name")
        table+=("$(row "$name" "**nothing**" "" "$took")")
        continue
    fi
    first=$(head -1 <<<"$found")
    others=$(($(grep -c . <<<"$found") - 1))
    by=${first%%$'\t'*}
    if [ "$others" -gt 0 ]; then by+=", and $others more"; fi
    difference=${first#*$'\t'}
    table+=("$(row "$name" "$by" "\`${difference//|/\\|}\`" "$took")")
done

row mutation "caught by" "first difference" seconds
echo '|---|---|---|---|'
printf '%s\n' "${table[@]}"
if [ ${#survivors[@]} -gt 0 ]; then
    echo "survived: ${survivors[*]}" >&2
    exit 1
fi

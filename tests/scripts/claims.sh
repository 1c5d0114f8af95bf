# For tests of our scripts. claim SENTENCE COMMAND…: the command succeeds, or the test fails at its end.
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failures=0

claim() {
  local sentence=$1; shift
  if "$@"; then echo "ok: $sentence"; else echo "NOT SO: $sentence"; failures=$((failures + 1)); fi
}

# says FILE REGEX: FILE is one line, and it matches.
says() { [ "$(wc -l <"$1")" = 1 ] && grep -qE "$2" "$1" || { sed 's/^/    it said: /' "$1"; return 1; }; }

# ends_with STATUS COMMAND…: what the command prints goes to $scratch/out.
ends_with() {
  local expected=$1 status=0; shift
  "$@" >"$scratch/out" 2>&1 </dev/null || status=$?
  [ "$status" = "$expected" ] || { echo "    it ended with $status:"; sed 's/^/    /' "$scratch/out"; return 1; }
}

finish() { exit $((failures > 0)); }

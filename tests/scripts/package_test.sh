#!/usr/bin/env bash
# package_test.sh BUILD: makes a Debian package in the build folder BUILD and looks at it; installs nothing.
set -euo pipefail
. "$(dirname "$0")/claims.sh"
has() { grep -qE "$2" "$1"; }

build=$(realpath "$1")
cpack --config "$build/CPackConfig.cmake" -G DEB -B "$scratch/packed" >"$scratch/cpack.log" 2>&1 ||
  { cat "$scratch/cpack.log"; exit 1; }
deb=$(echo "$scratch"/packed/*.deb)
dpkg-deb -c "$deb" >"$scratch/content"
dpkg-deb -e "$deb" "$scratch/control"
dpkg-deb -x "$deb" "$scratch/root"

claim "the program is where the service starts it" test -x "$scratch/root/opt/banyan/bin/banyand"
claim "the service is where systemd looks" cmp "$scratch/root/lib/systemd/system/banyand.service" packaging/banyand.service
claim "both programs are in the path" has "$scratch/content" "/usr/bin/banyand -> /opt/banyan/bin/banyand"
claim "all is root's" test -z "$(grep -v " root/root " "$scratch/content")"
claim "settings are kept over an upgrade" cmp - "$scratch/control/conffiles" <<<"/etc/banyan/banyand.conf
/etc/default/banyan"
while read -r file; do claim "$file is in it" test -f "$scratch/root$file"; done <"$scratch/control/conffiles"
claim "what the service's environment could be is told and not set" \
  test -z "$(grep -v '^#' "$scratch/root/etc/default/banyan")"
for script in postinst prerm postrm; do
  claim "$script can be run" test -x "$scratch/control/$script"
done

# The scripts, in a world in which systemd, accounts and /etc are ours.
world=$scratch/world
mkdir -p "$scratch/bin" "$world/etc/banyan" "$world/etc/default" "$world/var/lib/banyan" "$world/run/systemd/system"
for tool in systemctl getent useradd; do
  printf '#!/bin/sh\necho "%s $*" >>%s/calls\n' "$tool" "$scratch" >"$scratch/bin/$tool"
  chmod +x "$scratch/bin/$tool"
done
run_script() {
  : >"$scratch/calls"
  sed "s: /\(run\|etc\|var\|opt\)/: $world/\1/:g" "$scratch/control/$1" >"$scratch/script"
  PATH=$scratch/bin:$PATH sh "$scratch/script" "${@:2}" >"$scratch/said" 2>&1
}
run_script postinst configure 0.0.9
claim "an upgrade restarts a service that runs" has "$scratch/calls" "^systemctl restart banyand.service"
run_script prerm upgrade 0.2.0
claim "and lets it run until then" test ! -s "$scratch/calls"
run_script prerm remove
claim "removing stops it" has "$scratch/calls" "^systemctl disable --now banyand.service"
touch "$world/etc/banyan/token"
run_script postrm remove
claim "removing keeps the settings" test -e "$world/etc/banyan/token"
run_script postrm purge
claim "a purge takes the settings away" test ! -e "$world/etc/banyan"
claim "a purge keeps the trees" test -d "$world/var/lib/banyan"
claim "and says so" has "$scratch/said" "/var/lib/banyan stays"
finish

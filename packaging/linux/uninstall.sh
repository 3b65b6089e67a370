#!/bin/sh
# Removes what install.sh installed. Settings, jobs and logs stay.
set -eu
home=${HOME:?HOME is not set}
target=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
share=${XDG_DATA_HOME:-$home/.local/share}
bin=$home/.local/bin

if [ ! -x "$target/heddle" ] || [ ! -d "$target/_internal" ]; then
    echo "Heddle is not installed in $target. Run the uninstall.sh that lies in its folder." >&2
    exit 1
fi
for name in heddle heddle-desktop; do
    if [ "$(readlink "$bin/$name" 2>/dev/null || true)" = "$target/$name" ]; then
        rm -f "$bin/$name"
    fi
    rm -f "$share/man/man1/$name.1.gz"
done
rm -f "$share/applications/heddle.desktop"
find "$share/icons/hicolor" -path '*/apps/heddle.*' -type f -exec rm -f {} + 2>/dev/null || true
rm -rf "$target"
echo "Heddle is removed. Your settings, jobs and logs are still in $share/Heddle; delete that folder if you do not want them."

#!/bin/sh
# Installs Heddle for the user who runs this, without root: sh install.sh [FOLDER]
# The program goes into FOLDER (~/.local/lib/heddle if none is given), commands, menu entry, icons and manual pages to
# their places under ~/.local. A program that is there already is replaced once the new one is complete.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
home=${HOME:?HOME is not set}
target=${1:-$home/.local/lib/heddle}
share=${XDG_DATA_HOME:-$home/.local/share}
bin=$home/.local/bin

case $target in
    /*) ;;
    *) target=$PWD/$target ;;
esac
if [ -e "$target" ] && [ ! -x "$target/heddle" ]; then
    echo "There is something else at $target. Choose another folder: sh install.sh FOLDER" >&2
    exit 1
fi
mkdir -p "$(dirname -- "$target")" "$bin" "$share/applications" "$share/icons" "$share/man/man1"
new=$target.new-$$
old=$target.old-$$
trap 'rm -rf "$new"' EXIT
mkdir "$new"
cp -R "$here/heddle/." "$new"
"$new/heddle" --version >/dev/null || { echo "The program does not start here; nothing was changed." >&2; exit 1; }
if [ -e "$target" ]; then
    mv "$target" "$old"
fi
mv "$new" "$target"
rm -rf "$old"

ln -sf "$target/heddle" "$bin/heddle"
ln -sf "$target/heddle-desktop" "$bin/heddle-desktop"
cp -R "$here/share/icons/." "$share/icons"
cp "$here/share/man/man1/"*.1.gz "$share/man/man1"
# In a quoted argument of Exec these characters take a backslash, which the file itself doubles; so is a percent sign.
quoted=$(printf '%s' "$target/heddle-desktop" | sed 's/\\/\\\\\\\\/g; s/["`$]/\\\\&/g; s/%/%%/g')
while IFS= read -r line; do
    case $line in
        Exec=*) printf 'Exec="%s" %%F\n' "$quoted" ;;
        *) printf '%s\n' "$line" ;;
    esac
done <"$here/share/applications/heddle.desktop" >"$share/applications/heddle.desktop"
cp "$here/uninstall.sh" "$target/uninstall.sh"
if command -v update-desktop-database >/dev/null 2>&1; then
    update-desktop-database -q "$share/applications" || true
fi

echo "Heddle is installed in $target."
echo "Start it from the menu, or with: $bin/heddle-desktop"
case :$PATH: in
    *":$bin:"*) ;;
    *) echo "The commands heddle and heddle-desktop are in $bin, which is not on your PATH." ;;
esac
echo "To remove it: sh '$target/uninstall.sh'"

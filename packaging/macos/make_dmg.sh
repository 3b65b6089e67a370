#!/bin/sh
# heddle-VERSION-darwin-PROCESSOR.dmg from the frozen bundle: sh packaging/macos/make_dmg.sh VERSION [IDENTITY]
# Run after "python3 packaging/build.py folder". Without IDENTITY (a Developer ID) the bundle is signed ad hoc, and macOS
# asks its users to open it by the context menu once. Not run yet: no Mac was at hand when it was written.
set -eu
version=${1:?give the version}
identity=${2:--}
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
app=$root/build/freeze/dist/Heddle.app
results=$root/build/packages
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT

if [ "$identity" = - ]; then
    codesign --force --deep --sign - "$app"
else
    codesign --force --deep --options runtime --timestamp --sign "$identity" "$app"
fi
codesign --verify --deep --strict "$app"
"$app/Contents/MacOS/heddle" --self-test
"$app/Contents/MacOS/heddle-desktop" --smoke "$stage/window.png"
rm "$stage/window.png"

cp -R "$app" "$stage/Heddle.app"
ln -s /Applications "$stage/Applications"
cp -R "$root/build/freeze/dist/heddle/licences" "$stage/Licences"
mkdir -p "$results"
hdiutil create -volname Heddle -srcfolder "$stage" -format ULFO -ov "$results/heddle-$version-darwin-$(uname -m).dmg"
if [ "$identity" != - ]; then
    echo "Signed. Notarise it with: xcrun notarytool submit --wait, then xcrun stapler staple"
fi

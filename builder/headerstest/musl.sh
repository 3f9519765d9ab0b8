#!/bin/sh
# musl.sh ROOT: makes the root of a console with musl and busybox, on a Debian with gcc, make, musl-tools,
# busybox-static, patchelf and xz-utils. make is built for musl from Debian's source. gcc and binutils are Debian's own,
# moved to ROOT/opt with the libraries and the loader that they need: no other program of the root finds a glibc.
set -eu

root=$1
musl=/lib/ld-musl-$(uname -m).so.1

mkdir -p "$root/bin" "$root/dev" "$root/lib" "$root/proc" "$root/tmp" "$root/usr/bin"
cp -L "$musl" "$root$musl"
ln -s "$musl" "$root/usr/bin/ldd"
cp "$(command -v busybox)" "$root/bin/busybox"
for applet in $(busybox --list); do
    [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
done

work=$(mktemp -d)
cd "$work"
find /etc/apt -name '*.list' -exec sed -i 's/^deb \(.*\)/&\ndeb-src \1/' {} +
find /etc/apt -name '*.sources' -exec sed -i 's/^Types: deb$/Types: deb deb-src/' {} +
apt-get -q update
apt-get -q source --download-only make-dfsg
tar -xJf make-dfsg_*.orig.tar.xz
cd make-[0-9]*/
# Debian's archive has no manual, for which configure looks.
mkdir -p doc
touch doc/Makefile.in
CC=musl-gcc ./configure -q --disable-nls --disable-dependency-tracking --without-guile
sh ./build.sh
cp make "$root/usr/bin/make"

opt=$root/opt/gcc
mkdir -p "$opt/bin" "$opt/lib" "$opt/libexec" "$opt/glibc"
cp -a /usr/lib/gcc "$opt/lib/"
[ ! -d /usr/libexec/gcc ] || cp -a /usr/libexec/gcc "$opt/libexec/"
for package in $(dpkg-query -W -f '${Package}\n' 'gcc*' 'cpp*' 'binutils*'); do
    dpkg -L "$package" 2>/dev/null | grep '^/usr/bin/.' || :
done | sort -u | while read -r program; do
    cp -a "$program" "$opt/bin/"
    ln -s "/opt/gcc/bin/${program##*/}" "$root/usr/bin/"
done
loader=$(patchelf --print-interpreter /usr/bin/as)
cp -L "$loader" "$opt/glibc/"
find "$opt/bin" "$opt/lib" "$opt/libexec" -type f -exec sh -c 'ldd "$1" 2>/dev/null' - {} \; |
    awk '$2 == "=>" { print $3 }' | sort -u | xargs -r -I LIBRARY cp -L LIBRARY "$opt/glibc/"
find "$opt/bin" "$opt/lib" "$opt/libexec" -type f \( -perm -100 -o -name '*.so*' \) | while read -r program; do
    patchelf --force-rpath --set-rpath /opt/gcc/glibc "$program" 2>/dev/null || continue
    patchelf --set-interpreter "/opt/gcc/glibc/${loader##*/}" "$program" 2>/dev/null || :
done
rm -rf "$work"

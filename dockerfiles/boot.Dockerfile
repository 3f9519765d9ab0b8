# What `rosk boot` takes to run a kernel: the programs that its guest runs, and qemu with the guest's disks.
ARG BASE

# Debian's packages of the guest's architecture, unpacked and not installed: nothing of them runs here. apt is told
# that nothing is installed yet, so that their libraries come with them.
FROM --platform=${BUILDPLATFORM} ${BASE} AS guest-packages
ARG GUEST_ARCH
ARG GUEST_PACKAGES
RUN mkdir -p /apt/lists/partial /apt/cache/archives/partial /guest && : > /apt/status \
    && set -- -q -o APT::Architecture="${GUEST_ARCH}" -o APT::Architectures="${GUEST_ARCH}" -o Dir::State::status=/apt/status \
        -o Dir::State::lists=/apt/lists -o Dir::Cache=/apt/cache -o APT::Sandbox::User=root \
    && apt-get "$@" update \
    && apt-get "$@" install -y --download-only --no-install-recommends -- ${GUEST_PACKAGES} \
    && for package in /apt/cache/archives/*.deb; do dpkg-deb -x "${package}" /guest || exit 1; done \
    && rm -rf /apt /guest/etc /guest/var /guest/usr/share /guest/usr/include /guest/usr/lib/*/gconv
FROM scratch AS guest
COPY --from=guest-packages /guest /

FROM --platform=${BUILDPLATFORM} ${BASE} AS disks
ENV DEBIAN_FRONTEND=noninteractive
RUN --mount=type=cache,id=rosk-apt-archives,target=/var/cache/apt,sharing=locked \
    --mount=type=cache,id=rosk-apt-lists,target=/var/lib/apt/lists,sharing=locked \
    apt-get -q update && apt-get -q install -y --no-install-recommends -- e2fsprogs squashfs-tools
# No feature that an old kernel refuses.
RUN mkdir -p /in /out && echo rosk > /in/hello \
    && mke2fs -q -t ext4 -O ^metadata_csum_seed,^orphan_file -d /in /out/ext4.img 8M \
    && mksquashfs /in /out/squashfs.img -comp gzip -quiet

FROM --platform=${BUILDPLATFORM} ${BASE} AS qemu
ENV DEBIAN_FRONTEND=noninteractive
ARG QEMU_PACKAGE
RUN --mount=type=cache,id=rosk-apt-archives,target=/var/cache/apt,sharing=locked \
    --mount=type=cache,id=rosk-apt-lists,target=/var/lib/apt/lists,sharing=locked \
    apt-get -q update && apt-get -q install -y --no-install-recommends -- ${QEMU_PACKAGE}
COPY --from=disks /out /usr/share/rosk

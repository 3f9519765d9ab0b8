# The whole graph: one stage for each thing that has a cache key of its own. Its build context is the folder that
# rosk makes for each build (stages/ images/ config/ lists/ patches/ hooks/); `source` and `firmware` are named
# contexts. FRESH is a word that makes every stage run again that is no input (builder.replan.afresh).
# Only what buildah builds too is used here, or what builder/engine/buildah.py takes out: no heredocs, no COPY --link, no
# ADD --checksum.
ARG BASE
ARG SOURCE_KIND=debian
ARG FIRMWARE_KIND=none
ARG IMAGE_TOOLS=tools
ARG SIGNING=none
ARG SOURCE_SHARED=source-package

# The build context, read once: all other stages copy from these two (but for one file of `known`). In a solve of several
# targets the first one is a target by itself (builder/engine/linked.py). And at the end of each solve BuildKit (0.13)
# looks up each COPY of the context itself in every context that it has ever seen (`addBacklinks` in
# solver/exporter.go). With 26 of them that was most of what it did after a few hundred builds, and took longer than the
# 20 seconds that it gives itself.
FROM scratch AS rosk-inputs
COPY . /

FROM scratch AS rosk-programs
COPY --from=rosk-inputs stages /stages
COPY --from=rosk-inputs images /images

# Debian packages that splitting, packing and the images need.
FROM --platform=${BUILDPLATFORM} ${BASE} AS tools
ENV PYTHONPATH=/rosk PYTHONDONTWRITEBYTECODE=1 LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive
# A word of the settings; another one takes Debian's packages anew, in every stage that takes some.
ARG DEBIAN_AS_OF=
ARG TOOLS_PACKAGES
RUN --mount=type=cache,id=rosk-apt-archives,target=/var/cache/apt,sharing=locked \
    --mount=type=cache,id=rosk-apt-lists,target=/var/lib/apt/lists,sharing=locked \
    apt-get -q update && apt-get -q install -y --no-install-recommends -- ${TOOLS_PACKAGES}
# What the Python of an old suite lacks; does nothing in a newer one.
COPY --from=rosk-programs stages/oldpython.py /rosk/sitecustomize.py

# The compiler and what kbuild calls beside it. FOREIGN are the architectures, beside this machine's own, whose libraries
# a cross compiler links with.
FROM tools AS toolchain
ARG FOREIGN=
RUN for arch in ${FOREIGN}; do dpkg --add-architecture "${arch}" || exit 1; done
ARG TOOLCHAIN_PACKAGES
RUN --mount=type=cache,id=rosk-apt-archives,target=/var/cache/apt,sharing=locked \
    --mount=type=cache,id=rosk-apt-lists,target=/var/lib/apt/lists,sharing=locked \
    apt-get -q update && apt-get -q install -y --no-install-recommends -- ${TOOLCHAIN_PACKAGES}
RUN mkdir -p /out && dpkg-query -W -f '${Package} ${Version}\n' > /out/packages

# The kernel source, from one of three places.
FROM toolchain AS source-debian
COPY --from=rosk-programs stages/common.py stages/source.py /rosk/builder/stages/
ARG SOURCE_PACKAGE
RUN --mount=type=cache,id=rosk-apt-lists,target=/var/lib/apt/lists,sharing=locked \
    python3 -m builder.stages.source debian --package "${SOURCE_PACKAGE}" --out /usr/src/linux --info /out/source.json

FROM toolchain AS source-archive
COPY --from=rosk-programs stages/common.py stages/source.py /rosk/builder/stages/
RUN --network=none --mount=type=bind,from=rosk-source,target=/input \
    python3 -m builder.stages.source archive --dir /input --out /usr/src/linux --info /out/source.json

FROM toolchain AS source-tree
COPY --from=rosk-programs stages/common.py stages/source.py /rosk/builder/stages/
ARG SOURCE_EPOCH
RUN --network=none --mount=type=bind,from=rosk-source,target=/input \
    python3 -m builder.stages.source tree --dir /input --epoch "${SOURCE_EPOCH}" --out /usr/src/linux --info /out/source.json

# What the source holds, by content: later stages go by it, and read no more of the source than they need. And what
# configuring reads of it, and the headers package takes of it, so that a change to anything else leaves these alone.
FROM source-${SOURCE_KIND} AS kernel-source
COPY --from=rosk-programs stages/common.py stages/filearchive.py stages/journal.py stages/signingoptions.py stages/kconfigtree.py \
    stages/headerstree.py /rosk/builder/stages/
RUN --network=none python3 -m builder.stages.journal --tree /usr/src/linux --out /out/journal \
    && python3 -m builder.stages.kconfigtree --tree /usr/src/linux --journal /out/journal --out /out/kconfig \
    && python3 -m builder.stages.headerstree --tree /usr/src/linux --journal /out/journal --out /out/headers

# What has to be known before the graph can be named: the kernel's version and its date.
FROM scratch AS resolve
COPY --from=kernel-source /out/source.json /
COPY --from=toolchain /out/packages /

# What a step takes of another stage is mounted, where it is much or new in every rebuild: a mount of what `source` names has
# the key of a COPY of it, its content, and nothing is copied.
FROM kernel-source AS patched
COPY --from=rosk-programs stages/common.py stages/filearchive.py stages/headerstree.py stages/journal.py stages/kconfigtree.py \
    stages/patchfile.py stages/signingoptions.py stages/patch.py /rosk/builder/stages/
COPY --from=rosk-inputs hooks /rosk/hooks
COPY --from=rosk-inputs signing /rosk/signing
# What hooks are told of the architecture; nothing where there are none, so that all of them have one patched source.
ARG HOOKS_ARCH=
ARG HOOKS_SRCARCH=
ARG FRESH=
RUN --mount=type=bind,from=rosk-inputs,source=/patches,target=/rosk/patches \
    python3 -m builder.stages.patch --tree /usr/src/linux --journal /out/journal --kconfig /out/kconfig --headers /out/headers \
    --patches /rosk/patches --hooks /rosk/hooks --info /out/source.json --arch "${HOOKS_ARCH}" --srcarch "${HOOKS_SRCARCH}" \
    --certificate /rosk/signing/certificate.pem \
    && dpkg-query -W -f '${Package} ${Version}\n' > /out/packages

# What configuring begins with, whatever the project asks for; kconfig's own program is compiled here.
FROM toolchain AS kconfig
COPY --from=patched /out/kconfig/files.tar /in/
COPY --from=rosk-programs stages/common.py stages/dotconfig.py stages/maketools.py stages/configmake.py stages/kconfigdefaults.py \
    /rosk/builder/stages/
ARG ARCH
ARG CROSS_COMPILE=
ARG COMPILER=gcc
ARG MAKE_VARIABLES=
ARG FRESH=
RUN --network=none mkdir -p /usr/src/linux && tar -xf /in/files.tar -C /usr/src/linux \
    && python3 -m builder.stages.kconfigdefaults --tree /usr/src/linux --obj /obj --arch "${ARCH}" \
    --cross-compile="${CROSS_COMPILE}" --compiler "${COMPILER}" --make-variables="${MAKE_VARIABLES}" --out /out/defaults.json

FROM kconfig AS configured
COPY --from=rosk-programs stages/common.py stages/crosshost.py stages/elf.py stages/dotconfig.py stages/kexpr.py stages/kconfig.py \
    stages/makefile.py stages/kbuild.py stages/maketools.py stages/reproducible.py stages/patchlimits.py stages/policy.py \
    stages/signingoptions.py stages/configmake.py stages/configure.py /rosk/builder/stages/
COPY --from=rosk-inputs signing /rosk/signing
ARG SIGNING=none
ARG LOCALVERSION
ARG RELEASE
ARG CONFIG_STRICT=
RUN --network=none --mount=type=bind,from=rosk-inputs,source=/config,target=/rosk/config \
    python3 -m builder.stages.configure --tree /usr/src/linux --obj /obj --defaults /out/defaults.json --config /rosk/config/kernel-config \
    --fragments /rosk/config/fragments --localversion="${LOCALVERSION}" --release "${RELEASE}" --arch "${ARCH}" \
    --cross-compile="${CROSS_COMPILE}" --compiler "${COMPILER}" --make-variables="${MAKE_VARIABLES}" \
    --signing "${SIGNING}" --certificate /rosk/signing/certificate.pem ${CONFIG_STRICT} --out /out/configured

# The only stage that compiles, in an object tree that is kept for the next build of the same kernel release. It hands
# on the boot files, the modules, and what building modules against this kernel needs of the object tree.
FROM patched AS compile
COPY --from=rosk-programs stages/affected.py stages/asmversions.py stages/books.py stages/common.py stages/compilercache.py \
    stages/crosshost.py stages/elf.py stages/initramfs.py \
    stages/hostlink.py stages/journal.py stages/makefile.py stages/maketools.py stages/modinstall.py stages/narrow.py stages/objtree.py \
    stages/optionfolders.py stages/runmake.py stages/shadowing.py stages/signingoptions.py stages/symversions.py stages/compile.py \
    /rosk/builder/stages/
ARG ARCH
ARG CROSS_COMPILE=
ARG COMPILER=gcc
ARG MAKE_VARIABLES=
ARG IMAGE
ARG IMAGE_PATH
ARG EPOCH
ARG A
ARG RELEASE
ARG CACHE_SCOPE=
# What ccache itself reads from its environment.
ARG CCACHE_MAXSIZE=10G
RUN --mount=type=cache,id=rosk-ccache${CACHE_SCOPE},target=/ccache \
    --mount=type=cache,id=rosk-obj-${A}-${RELEASE}${CACHE_SCOPE},target=/obj,sharing=locked \
    --mount=type=cache,id=rosk-log,target=/log \
    --mount=type=secret,id=ccache,target=/run/secrets/ccache.conf \
    --mount=type=bind,from=configured,source=/out/configured/config,target=/configured/config \
    --mount=type=bind,from=configured,source=/out/configured/kernel.release,target=/configured/kernel.release \
    --mount=type=bind,from=configured,source=/out/configured/objects,target=/configured/objects \
    python3 -m builder.stages.compile --tree /usr/src/linux --journal /out/journal --configured /configured --obj /obj --toolchain /out/packages \
    --arch "${ARCH}" --cross-compile="${CROSS_COMPILE}" --compiler "${COMPILER}" \
    --make-variables="${MAKE_VARIABLES}" --image "${IMAGE}" --image-path "${IMAGE_PATH}" \
    --epoch "${EPOCH}" --ccache /ccache --ccache-config /run/secrets/ccache.conf --log /log --out /out

# The log of a compile that failed: of such a step only the cache mounts survive.
FROM tools AS compile-log-read
ARG LOG_NAME
RUN --mount=type=cache,id=rosk-log,target=/log mkdir -p /out && cp "/log/${LOG_NAME}" /out/compile.log
FROM scratch AS compile-log
COPY --from=compile-log-read /out/compile.log /

FROM tools AS headers
COPY --from=rosk-programs stages/common.py stages/filearchive.py stages/journal.py stages/headerstree.py stages/headers.py \
    /rosk/builder/stages/
ARG SRCARCH
COPY --from=patched /out/headers/common.tar /out/headers/${SRCARCH}.tar /in/source/
COPY --from=compile /out/objtree /in/objtree
ARG RELEASE
ARG FRESH=
RUN --network=none python3 -m builder.stages.headers --sources /in/source/common.tar "/in/source/${SRCARCH}.tar" \
    --obj /in/objtree --srcarch "${SRCARCH}" --release "${RELEASE}" --out /out/headers

# What external modules are built with: the headers package's tree in its place. Their stages are put here for the
# project's modules, and take the place of the next line (builder/external/dockerfile.py).
FROM toolchain AS external-base
COPY --from=rosk-programs stages/common.py stages/compilercache.py stages/dkms.py stages/elf.py stages/runmake.py stages/source.py \
    stages/symversions.py stages/external.py /rosk/builder/stages/
ARG RELEASE
COPY --from=headers /out/headers /lib/modules/${RELEASE}/build
RUN mkdir -p /in/told
ARG ARCH
ARG CROSS_COMPILE=
ARG EPOCH
ARG CACHE_SCOPE=
ARG FRESH=

FROM compile AS external

# The modules as they ship: signed with the project's key, after they were stripped, where it has one. The key is a
# secret of this one step, and in no cache key; the certificate is.
FROM tools AS signed-key
RUN --mount=type=cache,id=rosk-apt-archives,target=/var/cache/apt,sharing=locked \
    --mount=type=cache,id=rosk-apt-lists,target=/var/lib/apt/lists,sharing=locked \
    apt-get -q update && apt-get -q install -y --no-install-recommends -- openssl
COPY --from=rosk-programs stages/chunkcache.py stages/common.py stages/signingoptions.py stages/sign.py /rosk/builder/stages/
COPY --from=rosk-inputs signing /in/signing
COPY --from=configured /out/configured/config /in/
COPY --from=external /out/modules /out/modules
ARG CACHE_SCOPE=
ARG FRESH=
RUN --network=none --mount=type=cache,id=rosk-signatures${CACHE_SCOPE},target=/signatures \
    --mount=type=secret,id=signing-key,target=/run/secrets/signing-key,required=true \
    --mount=type=secret,id=signing-pin,target=/run/secrets/signing-pin \
    python3 -m builder.stages.sign --modules /out/modules --config /in/config --certificate /in/signing/certificate.pem \
    --key /run/secrets/signing-key --pin /run/secrets/signing-pin --cache /signatures

FROM external AS signed-none

FROM signed-${SIGNING} AS signed

FROM tools AS split
COPY --from=rosk-programs stages/common.py stages/dotconfig.py stages/elf.py stages/lists.py stages/modules.py stages/split.py \
    /rosk/builder/stages/
COPY --from=configured /out/configured/module-options.json /in/
ARG RELEASE
COPY --from=compile /out/boot/config-${RELEASE} /out/boot/System.map-${RELEASE} /in/boot/
ARG UNLISTED
ARG SOFTDEPS
ARG FRESH=
RUN --network=none --mount=type=bind,from=signed,source=/out/modules,target=/in/modules \
    --mount=type=bind,from=rosk-inputs,source=/lists/modules.list,target=/in/lists/modules.list \
    --mount=type=bind,from=rosk-inputs,source=/lists/modules-extra.list,target=/in/lists/modules-extra.list \
    python3 -m builder.stages.split --modules /in/modules --lists /in/lists --config "/in/boot/config-${RELEASE}" \
    --module-options /in/module-options.json --system-map "/in/boot/System.map-${RELEASE}" --release "${RELEASE}" \
    --unlisted "${UNLISTED}" --softdeps "${SOFTDEPS}" --out /out

# The firmware, from one of four places. Debian's packages are fetched apart from what is chosen of them.
FROM tools AS firmware-fetched
COPY --from=rosk-programs stages/common.py stages/licence.py stages/dep5.py stages/firmwarefetch.py /rosk/builder/stages/
ARG FIRMWARE_PACKAGES
RUN python3 -m builder.stages.firmwarefetch --packages ${FIRMWARE_PACKAGES} --out /out/firmware --revision /out/revision \
    --licences /out/licences.json

FROM tools AS firmware-base
ARG FRESH=
COPY --from=rosk-programs stages/common.py stages/lists.py stages/licence.py stages/dep5.py stages/whence.py stages/firmwarefetch.py \
    stages/firmwaretree.py stages/firmware.py /rosk/builder/stages/
COPY --from=rosk-inputs lists/firmware.list lists/firmware-extra.list /in/lists/
ARG FIRMWARE_STRICT=

FROM firmware-base AS firmware-none
RUN --network=none python3 -m builder.stages.firmware none --list /in/lists/firmware.list --extra-list /in/lists/firmware-extra.list \
    ${FIRMWARE_STRICT} --out /out

FROM firmware-base AS firmware-debian
COPY --from=firmware-fetched /out /in/fetched
RUN --network=none python3 -m builder.stages.firmware folder --dir /in/fetched/firmware --revision "$(cat /in/fetched/revision)" \
    --licences /in/fetched/licences.json --list /in/lists/firmware.list --extra-list /in/lists/firmware-extra.list \
    ${FIRMWARE_STRICT} --out /out

FROM firmware-base AS firmware-archive
RUN --network=none --mount=type=bind,from=rosk-firmware,target=/input \
    python3 -m builder.stages.firmware archive --dir /input --list /in/lists/firmware.list \
    --extra-list /in/lists/firmware-extra.list ${FIRMWARE_STRICT} --out /out

FROM firmware-base AS firmware-folder
ARG FIRMWARE_REVISION
RUN --network=none --mount=type=bind,from=rosk-firmware,target=/input \
    python3 -m builder.stages.firmware folder --dir /input --revision "${FIRMWARE_REVISION}" --list /in/lists/firmware.list \
    --extra-list /in/lists/firmware-extra.list ${FIRMWARE_STRICT} --out /out

FROM firmware-${FIRMWARE_KIND} AS kernel-firmware

# The packages. Two of them are in os-kernel too, as plain tar, and come out that way at once. LAYER is the name of the
# folders that images are put together of, and says what the digest of an image follows from but not the cache key of a
# COPY: how layers are compressed, and the times of the files (builder.graph.LEVEL).
#
# Nothing that a stage hands on lies in its root: to know the content of /a/b BuildKit (0.13) looks at every file of /a
# (`scanPath` in cache/contenthash/checksum.go), and in the root of a stage with the kernel's source that is 86,000.
FROM tools AS packer
COPY --from=rosk-programs stages/common.py stages/chunkcache.py stages/compressor.py stages/fixedtimes.py stages/journal.py \
    stages/members.py stages/squeeze.py stages/packmemo.py stages/pack.py /rosk/builder/stages/
ARG EPOCH
ARG CACHE_SCOPE=

FROM packer AS kernel-package
ARG LAYER
ARG KERNEL_FILE
RUN --network=none --mount=type=cache,id=rosk-pack${CACHE_SCOPE},target=/cache \
    --mount=type=bind,from=compile,source=/out/boot,target=/in/image/boot \
    --mount=type=bind,from=split,source=/out/main,target=/in/modules \
    --mount=type=bind,from=kernel-firmware,source=/out/main,target=/in/firmware \
    python3 -m builder.stages.pack --root /in/image --root /in/modules --root /in/firmware --epoch "${EPOCH}" --cache /cache \
    --sums /packed/sums/kernel.json \
    --deliver "/packed/file/${KERNEL_FILE}" --plain "/packed/${LAYER}/kernel.tar"

FROM packer AS extras-package
ARG LAYER
ARG EXTRAS_FILE
RUN --network=none --mount=type=cache,id=rosk-pack${CACHE_SCOPE},target=/cache \
    --mount=type=bind,from=split,source=/out/extra,target=/in/modules \
    --mount=type=bind,from=kernel-firmware,source=/out/extra,target=/in/firmware \
    python3 -m builder.stages.pack --root /in/modules --root /in/firmware --epoch "${EPOCH}" --cache /cache \
    --sums /packed/sums/extras.json \
    --image "/packed/archive/${LAYER}/extras.tar.gz" --deliver "/packed/file/${EXTRAS_FILE}"

# It is packed where it lies: copying thousands of files takes longer.
FROM headers AS headers-package
COPY --from=rosk-programs stages/common.py stages/chunkcache.py stages/compressor.py stages/fixedtimes.py stages/journal.py \
    stages/members.py stages/squeeze.py stages/packmemo.py stages/pack.py /rosk/builder/stages/
ARG EPOCH
ARG LAYER
ARG CACHE_SCOPE=
ARG HEADERS_FILE
RUN --network=none --mount=type=cache,id=rosk-pack${CACHE_SCOPE},target=/cache \
    python3 -m builder.stages.pack --root /out/headers --epoch "${EPOCH}" --cache /cache --sums /packed/sums/headers.json \
    --image "/packed/archive/${LAYER}/build.tar.gz" --deliver "/packed/file/${HEADERS_FILE}" \
    --plain "/packed/${LAYER}/kernel-dev.tar" --plain-top "usr/src/linux-headers-${RELEASE}"

# It is made beside make, which leaves a CPU idle where it has little to do.
FROM patched AS source-package
COPY --from=rosk-programs stages/common.py stages/chunkcache.py stages/compressor.py stages/fixedtimes.py stages/journal.py \
    stages/members.py stages/squeeze.py stages/packmemo.py stages/pack.py /rosk/builder/stages/
ARG RELEASE
ARG EPOCH
ARG CACHE_SCOPE=
ARG SOURCE_FILE
RUN --network=none --mount=type=cache,id=rosk-pack${CACHE_SCOPE},target=/cache \
    python3 -m builder.stages.pack --root /usr/src/linux --journal /out/journal --top "linux-${RELEASE}" --epoch "${EPOCH}" \
    --cache /cache --sums /packed/sums/source.json --parts /packed/parts/source-parts.json --nothing "${SOURCE_FILE}"

# It comes out whole, or as what `known`, a folder of this machine, does not have of it (builder.sourceparts): reading,
# copying and sending the whole of it takes BuildKit seconds.
FROM source-package AS whole-source
RUN --network=none --mount=type=cache,id=rosk-pack${CACHE_SCOPE},target=/cache \
    python3 -m builder.stages.pack --root /usr/src/linux --journal /out/journal --top "linux-${RELEASE}" --epoch "${EPOCH}" \
    --cache /cache --deliver "/packed/file/${SOURCE_FILE}"

# What a cache that machines share has to have of it: another machine knows nothing yet.
FROM ${SOURCE_SHARED} AS shared-source

FROM tools AS changed-source
COPY --from=rosk-programs stages/common.py stages/chunkcache.py stages/newchunks.py /rosk/builder/stages/
COPY --from=source-package /packed/parts/source-parts.json /in/
COPY --from=rosk-known source.json /in/known.json
ARG CACHE_SCOPE=
ARG FRESH=
RUN --network=none --mount=type=cache,id=rosk-pack${CACHE_SCOPE},target=/cache \
    python3 -m builder.stages.newchunks --parts /in/source-parts.json --known /in/known.json --cache /cache --out /packed/file

# Programs of another architecture for the images: Debian's packages unpacked, not installed, for nothing of them runs
# here. apt is told that nothing is installed yet, so that their libraries come with them.
FROM tools AS foreign-tools
ARG IMAGE_ARCH=
ARG IMAGE_PACKAGES=
RUN mkdir -p /apt/lists/partial /apt/cache/archives/partial /foreign && : > /apt/status \
    && set -- -q -o APT::Architecture="${IMAGE_ARCH}" -o APT::Architectures="${IMAGE_ARCH}" -o Dir::State::status=/apt/status \
        -o Dir::State::lists=/apt/lists -o Dir::Cache=/apt/cache -o APT::Sandbox::User=root \
    && apt-get "$@" update \
    && apt-get "$@" install -y --download-only --no-install-recommends -- ${IMAGE_PACKAGES} \
    && for package in /apt/cache/archives/*.deb; do dpkg-deb -x "${package}" /foreign || exit 1; done \
    && rm -rf /apt /foreign/etc /foreign/var /foreign/usr/share /foreign/usr/include

# The images. Each is put together of folders whose times are fixed already. SYSROOT has the programs that the images
# start with: they and the script are a layer by themselves, that no edit of a kernel changes, and the package is another.
FROM ${IMAGE_TOOLS} AS image-tools
ARG SYSROOT=/
ARG FRESH=
COPY --from=rosk-programs stages/common.py stages/elf.py stages/fixedtimes.py stages/imageroot.py /rosk/builder/stages/
ARG RELEASE
ARG EPOCH
ARG LAYER

FROM image-tools AS os-extras-root
COPY --from=rosk-programs images/extra.sh /in/
RUN --network=none python3 -m builder.stages.imageroot extras --script /in/extra.sh --sysroot "${SYSROOT}" --epoch "${EPOCH}" \
    --out "/image/${LAYER}"
FROM scratch AS os-extras
ARG LAYER
COPY --from=os-extras-root /image/${LAYER} /
COPY --from=extras-package /packed/archive/${LAYER} /
ARG RELEASE
ENV KERNEL_VERSION=${RELEASE} PATH=/usr/sbin:/usr/bin:/sbin:/bin
CMD ["extra.sh"]

FROM image-tools AS os-headers-root
COPY --from=rosk-programs images/headers.sh /in/
RUN --network=none python3 -m builder.stages.imageroot headers --script /in/headers.sh --sysroot "${SYSROOT}" --epoch "${EPOCH}" \
    --out "/image/${LAYER}"
FROM scratch AS os-headers
ARG LAYER
COPY --from=os-headers-root /image/${LAYER} /
COPY --from=headers-package /packed/archive/${LAYER} /
ARG RELEASE
ENV KERNEL_VERSION=${RELEASE} PATH=/usr/sbin:/usr/bin:/sbin:/bin
CMD ["/headers.sh"]

# This one has three layers: the headers, more than half of it, and the kernel itself are the same after most edits.
FROM image-tools AS os-kernel-root
RUN --network=none --mount=type=bind,from=compile,source=/out/boot,target=/in \
    python3 -m builder.stages.imageroot kernel --boot /in --release "${RELEASE}" --epoch "${EPOCH}" \
    --out "/image/${LAYER}"
FROM scratch AS os-kernel
ARG LAYER
COPY --from=headers-package /packed/${LAYER} /
COPY --from=os-kernel-root /image/${LAYER} /
COPY --from=kernel-package /packed/${LAYER} /
ARG RELEASE
ENV KERNEL_VERSION=${RELEASE}

# What leaves the build as files: kernel/ becomes dist/kernel, the rest is for the manifest and the reports. The steps are
# one after the other, so what is ready last comes last. Of the packages the first stage has the checksums only; those
# that the release folder lacks come with it (builder.graph.RELEASES), or are fetched from the stages at the end.
FROM scratch AS release
COPY --from=kernel-source /out/source.json /reports/
COPY --from=toolchain /out/packages /reports/
COPY --from=configured /out/configured/report.json /reports/config.json
COPY --from=configured /out/configured/config /kernel/config
COPY --from=kernel-firmware /out/report.json /reports/firmware.json
COPY --from=compile /out/report.json /reports/compile.json
COPY --from=compile /out/log/compile.log /reports/compile.log
COPY --from=source-package /packed/sums/ /reports/sums/
COPY --from=shared-source /packed/parts/source-parts.json /reports/
COPY --from=split /out/report.json /reports/split.json
COPY --from=split /out/modules.json /reports/modules.json
COPY --from=split /out/lists/ /kernel/
COPY --from=headers-package /packed/sums/ /reports/sums/
COPY --from=extras-package /packed/sums/ /reports/sums/
COPY --from=kernel-package /packed/sums/ /reports/sums/

FROM release AS release-modules
COPY --from=extras-package /packed/file/ /kernel/
COPY --from=kernel-package /packed/file/ /kernel/

FROM release-modules AS release-packages
COPY --from=headers-package /packed/file/ /kernel/

FROM scratch AS kernel-file
COPY --from=kernel-package /packed/file/ /

FROM scratch AS extras-file
COPY --from=extras-package /packed/file/ /

FROM scratch AS headers-file
COPY --from=headers-package /packed/file/ /

FROM scratch AS source-file
COPY --from=whole-source /packed/file/ /

FROM scratch AS source-changes
COPY --from=changed-source /packed/file/ /

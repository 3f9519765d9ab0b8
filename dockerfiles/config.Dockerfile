# What `rosk config` asks the engine, in seconds. It goes on where kernel.Dockerfile ends (builder/question.py joins the
# two), and takes nothing from a stage that compiles.

# The architecture's defconfigs are no Kconfig files, so that they are not among what is picked for configuring.
FROM patched AS defconfigs
ARG SRCARCH
RUN mkdir -p "/out/configs" && if [ -d "/usr/src/linux/arch/${SRCARCH}/configs" ]; then \
    cp -r "/usr/src/linux/arch/${SRCARCH}/configs/." /out/configs/; fi

# What follows from the source and the toolchain alone.
FROM kconfig AS config-facts
ARG SRCARCH
COPY --from=defconfigs /out/configs /usr/src/linux/arch/${SRCARCH}/configs
COPY --from=rosk-programs stages/common.py stages/dotconfig.py stages/kexpr.py stages/kconfig.py stages/maketools.py \
    stages/configmake.py stages/kconfigfacts.py /rosk/builder/stages/
ARG ARCH
ARG CROSS_COMPILE=
ARG COMPILER=gcc
ARG MAKE_VARIABLES=
RUN python3 -m builder.stages.kconfigfacts --tree /usr/src/linux --obj /obj --defaults /out/defaults.json \
    --arch "${ARCH}" --srcarch "${SRCARCH}" --cross-compile="${CROSS_COMPILE}" --compiler "${COMPILER}" --make-variables="${MAKE_VARIABLES}" --out /out/facts

FROM config-facts AS config-asked
COPY --from=rosk-programs stages/crosshost.py stages/elf.py stages/makefile.py stages/kbuild.py stages/reproducible.py \
    stages/patchlimits.py stages/policy.py stages/signingoptions.py stages/configure.py \
    stages/kremedy.py stages/configask.py /rosk/builder/stages/
COPY --from=rosk-inputs config /rosk/config
COPY --from=rosk-inputs signing /rosk/signing
ARG SIGNING=none
ARG LOCALVERSION
RUN python3 -m builder.stages.configask --tree /usr/src/linux --obj /obj --config /rosk/config/kernel-config \
    --fragments /rosk/config/fragments --localversion="${LOCALVERSION}" --arch "${ARCH}" --srcarch "${SRCARCH}" \
    --cross-compile="${CROSS_COMPILE}" --compiler "${COMPILER}" --make-variables="${MAKE_VARIABLES}" \
    --signing "${SIGNING}" --certificate /rosk/signing/certificate.pem --out /out/asked

FROM scratch AS config
COPY --from=config-facts /out/facts/facts.json /
COPY --from=config-asked /out/asked /

# The menus run in a container of this image. Their libraries have no part in a build's toolchain.
FROM config-facts AS config-menu
RUN --mount=type=cache,id=rosk-apt-archives,target=/var/cache/apt,sharing=locked \
    --mount=type=cache,id=rosk-apt-lists,target=/var/lib/apt/lists,sharing=locked \
    apt-get -q update && apt-get -q install -y --no-install-recommends -- libncurses-dev ncurses-term
# xargs takes the words apart, which are quoted as for a shell.
RUN printf '%s' "${MAKE_VARIABLES}" | xargs make -s -C /usr/src/linux O=/obj ARCH="${ARCH}" \
    $([ "${COMPILER}" != clang ] || echo LLVM=1) build_menuconfig build_nconfig || echo "make builds them later"
COPY --from=rosk-programs stages/crosshost.py stages/elf.py stages/makefile.py stages/kbuild.py stages/reproducible.py \
    stages/patchlimits.py stages/policy.py stages/signingoptions.py stages/configure.py \
    stages/configtext.py stages/configedit.py /rosk/builder/stages/

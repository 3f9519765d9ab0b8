# Consoles in which an external module is built against a headers package (builder/headerstest). The build context has
# the folders headers/ (the package), module/ and console/ (console.sh). Only the console that is asked for is made.
# Only what buildah builds too is used here, as in kernel.Dockerfile.
ARG BASE
ARG CONSOLE=debian

# What a Debian console has that builds modules: nothing of a kernel.
FROM ${BASE} AS console-debian
ENV DEBIAN_FRONTEND=noninteractive
ARG PACKAGES
RUN --mount=type=cache,id=rosk-apt-archives,target=/var/cache/apt,sharing=locked \
    apt-get -q update && apt-get -q install -y --no-install-recommends -- ${PACKAGES}

# A console whose C library is musl and whose programs are busybox's, as on Alpine. Debian has no compiler that is
# built for musl: gcc and binutils come with a glibc of their own in /opt, which nothing else finds.
FROM ${BASE} AS musl-made
ENV DEBIAN_FRONTEND=noninteractive
ARG PACKAGES
RUN --mount=type=cache,id=rosk-apt-archives,target=/var/cache/apt,sharing=locked \
    apt-get -q update && apt-get -q install -y --no-install-recommends -- ${PACKAGES}
COPY console/musl.sh /
RUN sh /musl.sh /console

FROM scratch AS console-musl
COPY --from=musl-made /console /

FROM ${BASE} AS unpacked
ENV DEBIAN_FRONTEND=noninteractive
ARG UNPACKER=
RUN test -z "${UNPACKER}" || (apt-get -q update && apt-get -q install -y --no-install-recommends -- ${UNPACKER})
COPY headers /headers
RUN mkdir /tree && tar -xf /headers/* -C /tree

FROM console-${CONSOLE} AS console
ARG RELEASE
ARG LLVM=
ENV PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
COPY --from=unpacked /tree /lib/modules/${RELEASE}/build
COPY console/console.sh /
COPY module /module
RUN ${LLVM:+env LLVM=1} sh /console.sh "${RELEASE}"

FROM scratch AS result
COPY --from=console /out /

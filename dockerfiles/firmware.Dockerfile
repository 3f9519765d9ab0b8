# What `rosk firmware` asks the engine beside what `rosk lists` does, in seconds: what the firmware source offers, and
# what the source code of the drivers says that they may load. It goes on where lists.Dockerfile ends.
FROM tools AS offered-base
COPY --from=rosk-programs stages/common.py stages/lists.py stages/licence.py stages/dep5.py stages/whence.py stages/firmwarefetch.py \
    stages/firmwaretree.py stages/firmware.py stages/firmwareoffer.py /rosk/builder/stages/

FROM offered-base AS offered-none
RUN python3 -m builder.stages.firmwareoffer none --out /out/offered.json

FROM offered-base AS offered-debian
COPY --from=firmware-fetched /out /in/fetched
RUN python3 -m builder.stages.firmwareoffer folder --dir /in/fetched/firmware --revision "$(cat /in/fetched/revision)" \
    --licences /in/fetched/licences.json --out /out/offered.json

FROM offered-base AS offered-archive
RUN --mount=type=bind,from=rosk-firmware,target=/input \
    python3 -m builder.stages.firmwareoffer archive --dir /input --out /out/offered.json

FROM offered-base AS offered-folder
ARG FIRMWARE_REVISION
RUN --mount=type=bind,from=rosk-firmware,target=/input \
    python3 -m builder.stages.firmwareoffer folder --dir /input --revision "${FIRMWARE_REVISION}" --out /out/offered.json

FROM offered-${FIRMWARE_KIND} AS offered

FROM patched AS asked
COPY --from=rosk-programs stages/common.py stages/dotconfig.py stages/makefile.py stages/kbuild.py stages/firmwareasks.py \
    /rosk/builder/stages/
COPY --from=configured /out/configured/config /out/configured/module-options.json /in/
ARG SRCARCH
RUN python3 -m builder.stages.firmwareasks --tree /usr/src/linux --config /in/config \
    --module-options /in/module-options.json --srcarch "${SRCARCH}" --out /out/asked.json

FROM lists AS firmware-known
COPY --from=offered /out/offered.json /
COPY --from=asked /out/asked.json /

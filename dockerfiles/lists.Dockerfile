# What `rosk lists` asks the engine, in seconds: the modules that the configured tree makes. It goes on where
# kernel.Dockerfile ends (builder/lists/source.py joins the two), and takes nothing from a stage that compiles.
FROM configured AS foreseen
COPY --from=rosk-programs stages/foresee.py /rosk/builder/stages/
ARG SRCARCH
RUN python3 -m builder.stages.foresee --tree /usr/src/linux --configured /out/configured --srcarch "${SRCARCH}" \
    --out /out/foreseen.json

FROM scratch AS lists
COPY --from=configured /out/configured/config /out/configured/kernel.release /out/configured/module-options.json /
COPY --from=foreseen /out/foreseen.json /

# How the project's patches apply to its kernel source (builder/patches). The build context is that of kernel.Dockerfile;
# `kernel-source` is that file's stage of this name, given as a named context, so that a source is fetched once.
FROM kernel-source AS patch-check-run
ENV PYTHONPATH=/rosk PYTHONDONTWRITEBYTECODE=1 LC_ALL=C.UTF-8
COPY stages/common.py stages/filearchive.py stages/headerstree.py stages/journal.py stages/kconfigtree.py stages/patchfile.py \
    stages/signingoptions.py stages/patch.py stages/patchlimits.py stages/patchtry.py stages/patchrefresh.py stages/patchcheck.py /rosk/builder/stages/
COPY patches /rosk/patches
RUN python3 -m builder.stages.patchcheck --tree /usr/src/linux --info /out/source.json --patches /rosk/patches \
    --out /out/patch-check

FROM scratch AS patch-check
COPY --from=patch-check-run /out/patch-check /

# Two stages: build the environment, then run it as nobody in particular.
FROM python:3.12-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends make && rm -rf /var/lib/apt/lists/*
WORKDIR /outfold
COPY Makefile requirements.txt ./
COPY tools/announce.sh tools/
ARG TORCH=
# The user who runs it may not write bytecode.
RUN make install TORCH=$TORCH PYTHONDONTWRITEBYTECODE=1

FROM python:3.12-slim
RUN useradd --create-home --uid 1000 outfold && mkdir /data && chown outfold /data
WORKDIR /outfold
COPY --from=build /outfold/.venv .venv
COPY . .
RUN .venv/bin/python -m compileall -q app core db
USER outfold
ENV OUTFOLD_HOME=/data PATH=/outfold/.venv/bin:$PATH PYTHONUNBUFFERED=1
VOLUME /data
EXPOSE 8501
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8501/outfold/health', timeout=2)"]
# Without login: publish the port on 127.0.0.1 alone, as compose.yaml does.
CMD ["python", "-m", "app", "serve", "--address", "0.0.0.0", "--insecure"]

# The command `oms` and its server, as a user without rights. For example:
#   docker build -t oms .
#   docker run --rm -v "$PWD:/data" oms positions --log day.db
#   docker run --rm -p 127.0.0.1:8000:8000 -v "$PWD:/data" oms serve --log day.db --host 0.0.0.0
FROM python:3.12-slim AS build
WORKDIR /source
COPY . .
RUN python -m venv /opt/oms && /opt/oms/bin/pip install --no-cache-dir '.[serve,metrics,parquet,venues]'

FROM python:3.12-slim
COPY --from=build /opt/oms /opt/oms
RUN useradd --create-home --uid 10001 oms && mkdir /data && chown oms /data
USER oms
WORKDIR /data
ENV PATH=/opt/oms/bin:$PATH PYTHONUNBUFFERED=1
VOLUME /data
EXPOSE 8000
ENTRYPOINT ["oms"]
CMD ["--help"]

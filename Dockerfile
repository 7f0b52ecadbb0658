# One image for all of Evenkeel's processes. Debian, because Temporal's native core needs glibc.
ARG NODE_IMAGE=node:24.21.0-bookworm-slim

FROM ${NODE_IMAGE} AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY bin bin
COPY src src
# Compiled, and with the workflows' bundle ahead of time: a worker starts at once and compiles nothing.
RUN npm run build

FROM ${NODE_IMAGE} AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
# The optional ones are what `evenkeel start` brings to a laptop (PostgreSQL) and what the bundle is built with.
RUN npm ci --no-audit --no-fund --omit=dev --omit=optional \
 && rm -rf node_modules/@temporalio/core-bridge/releases/*-apple-* node_modules/@temporalio/core-bridge/releases/*-windows-*

FROM ${NODE_IMAGE}
LABEL org.opencontainers.image.title="evenkeel" \
      org.opencontainers.image.description="Order processing that always finishes" \
      org.opencontainers.image.licenses="MIT"
# /data is the sandbox's ledger; the volume that is mounted there takes on its owner.
RUN groupadd --gid 10001 evenkeel \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin evenkeel \
 && install --directory --owner=10001 --group=10001 /data
ENV NODE_ENV=production
WORKDIR /app
COPY LICENSE package.json ./
COPY --from=dependencies /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY bin bin
COPY ops ops
# By number, so that an orchestrator can see that it is not root. Nothing below /app is this user's to write.
USER 10001:10001
EXPOSE 8080 9464 9465
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["node", "ops/compose/healthy.js"]
CMD ["node", "dist/main.js", "api"]

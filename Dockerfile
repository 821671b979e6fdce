# syntax=docker/dockerfile:1

FROM node:24-bookworm-slim AS build
WORKDIR /srv/tidegate
RUN apt-get update \
  && apt-get install --yes --no-install-recommends gcc libc6-dev \
  && rm -rf /var/lib/apt/lists/*
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY tsconfig.json tsconfig.build.json ./
COPY scripts scripts
COPY native native
COPY src src
COPY client-demo client-demo
COPY console console
# The embedded store is not for production, so what is optional stays behind.
RUN node scripts/build.ts \
  && node scripts/build-demo.ts \
  && node scripts/accelerate.ts \
  && npm prune --omit=dev --omit=optional

FROM node:24-bookworm-slim
# The version and the revision come from docker-bake.hcl.
LABEL org.opencontainers.image.title="Tidegate" \
  org.opencontainers.image.description="Self-hosted real-time gateway for Socket.IO clients, on Redis" \
  org.opencontainers.image.licenses="MIT"
ENV NODE_ENV=production
WORKDIR /srv/tidegate
COPY --from=build /srv/tidegate/package.json ./
COPY --from=build /srv/tidegate/node_modules node_modules
COPY --from=build /srv/tidegate/dist dist
COPY --from=build /srv/tidegate/native native
COPY --from=build /srv/tidegate/client-demo/dist client-demo/dist
COPY --from=build /srv/tidegate/console/dist console/dist
COPY README.md ./
COPY docs docs
USER node
EXPOSE 3000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT || 3000}/healthz`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
# Node itself as the first process: SIGTERM reaches it and starts the drain. Its option: docs/scaling.md, "Memory".
ENTRYPOINT ["node", "--max-semi-space-size=16", "dist/main.js"]
CMD ["start"]

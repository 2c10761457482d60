# Debian, because uWebSockets.js needs glibc. The bootstrap installs what the lock file names.
FROM node:22-bookworm-slim
WORKDIR /app
COPY package.json package-lock.json ./
COPY scripts ./scripts
RUN node scripts/bootstrap.cjs && npm cache clean --force
COPY . .
# Loads every module once, so that what a start keeps for the next ones is in the image.
RUN node scripts/colloquy.js help
RUN mkdir .colloquy && chown node:node .colloquy
USER node
EXPOSE 8080
# Not through npm: signals reach the server itself.
CMD ["node", "scripts/colloquy.js", "serve"]

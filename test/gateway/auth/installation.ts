/** An installation that is in use: two gateways of one system, and an owner of its own tenant. */
import { strict as assert } from "node:assert";
import type { Gateway } from "../../../gateway/server.ts";
import { type Running, startRunning } from "../running.ts";
import { register } from "./door.ts";

interface Installation {
  readonly running: Running;
  readonly here: Gateway;
  readonly there: Gateway;
}

/** Whoever asks for it stops `running`. */
export async function startInstallation(): Promise<Installation> {
  const running = await startRunning();
  try {
    const here = running.gateway;
    const there = await running.another();
    // The first account owns the installation's tenant; the tests are about later ones.
    const { status, body } = await register(here, "first@example.org");
    assert.deepEqual([status, body["tenant"], body["role"]], [201, "main", "owner"]);
    return { running, here, there };
  } catch (error) {
    await running.stop();
    throw error;
  }
}

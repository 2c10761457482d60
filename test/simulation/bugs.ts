/**
 * Bugs that somebody could make, each as one change of the source. The simulation is run on a copy
 * of the code with one of them planted, and must fail: that is the proof that it tests something.
 */
export interface Bug {
  readonly name: string;
  /** A seed from which on it is found soon; more are tried when the code has moved. 1 when left out. */
  readonly from?: number;
  /** What is promised and no longer kept; found in what the simulation says. */
  readonly breaks: RegExp;
  readonly file: string;
  /** Stands in the file exactly once. */
  readonly find: string;
  readonly replace: string;
}

const append = "const appended = await this.here(this.#ports.log.append(draft, head));";

export const bugs: readonly Bug[] = [
  {
    name: "ack before append",
    breaks: /I1|I7/,
    file: "actors/resident.ts",
    find: "const overloaded = (): boolean => this.#around.overloaded(partition);",
    replace:
      "item.delivery.ack(); const overloaded = (): boolean => this.#around.overloaded(partition);",
  },
  {
    name: "no expected sequence",
    breaks: /I2|I3|I7|I1/,
    file: "test/simulation/stored.ts",
    find: "if (end.sequence !== head.sequence) return { ok: false };",
    replace: "",
  },
  {
    name: "own bytes trusted after a timed-out append that landed",
    breaks: /I1|I2|I4/,
    file: "actors/line.ts",
    find: append,
    replace: `const appended = await this.here(
      this.#ports.log.append(draft, head).catch(() => ({
        ok: true as const,
        head: { revision: head.revision + draft.events.length, sequence: head.sequence + 1, hash: draft.commit },
      })),
    );`,
  },
  {
    name: "state reused after a conflict",
    breaks: /I1|I4|I7/,
    file: "actors/line.ts",
    find: "if (!appended.ok) {\n        this.unload();",
    replace: `if (!appended.ok) {
        for await (const commit of this.#ports.log.read(this.#ref, head)) loaded.head = headOf(commit);`,
  },
  {
    name: "effect started before its event",
    breaks: /I5|I7/,
    file: "actors/line.ts",
    find: append,
    replace: `const twin = this.#kind.create(this.#ref, instance.state());
      const early = { ...head, prev: head.hash, revision: head.revision + 1, erased: false };
      twin.fold({ ...draft, ...early });
      if (twin.running()?.owner === this.#ports.workers.id) twin.wake();
      ${append}`,
  },
  {
    name: "a queued turn without a lease",
    breaks: /I7/,
    file: "actors/conversation/state.ts",
    find: 'return state.queue.some(({ commands }) => commands.includes(command)) ? "queued" : "none";',
    replace: 'return "none";',
  },
  {
    name: "working() by a stale owner",
    breaks: /I1|I7/,
    file: "streams/queue/handle.ts",
    find: "if (!good()) return;\n    message.working();",
    replace: "message.working();",
  },
  {
    name: "ack() by a stale owner",
    breaks: /I1|I7/,
    file: "streams/queue/handle.ts",
    find: "if (good()) message.ack();",
    replace: "message.ack();",
  },
  {
    name: "snapshot ahead of the log",
    breaks: /I4/,
    file: "actors/line.ts",
    find: append,
    replace: `const twin = this.#kind.create(this.#ref, instance.state());
      const early = { ...head, prev: head.hash, revision: head.revision + 1, erased: false };
      twin.fold({ ...draft, ...early });
      this.#ports.snapshots.save(this.#ref, {
        head: { revision: head.revision + draft.events.length, sequence: head.sequence + 1, hash: draft.commit },
        state: twin.state(),
        commits: [],
      });
      ${append}`,
  },
  {
    name: "snapshot without the commands that made it",
    breaks: /I2/,
    file: "actors/loaded.ts",
    find: "commits: [...commits].map(",
    replace: "commits: [...commits].slice(1).map(",
  },
  {
    name: "a refusal decided on what was in memory",
    from: 340,
    breaks: /I1/,
    file: "actors/line.ts",
    find: "if (await this.#moved(loaded)) continue;",
    replace: "",
  },
  {
    name: "a running turn taken over while its owner lives",
    breaks: /without need/,
    file: "actors/recovery.ts",
    find: "running.owner === workers.id || workers.gone(running.owner)",
    replace: "true",
  },
  {
    name: "an effect that goes on before its ending is known to be lost",
    breaks: /I5|I12/,
    file: "actors/line.ts",
    find: "this.#loaded?.instance.detach();",
    replace: "this.#loaded?.instance.thaw(); this.#loaded?.instance.detach();",
  },
  {
    name: "an owner that lives but was made to stop is never asked",
    from: 3_470,
    breaks: /I1|I7/,
    file: "actors/resident.ts",
    find: "if (this.leases.size > 0) this.#recovery.ask(instance);",
    replace: "",
  },
  {
    name: "frames that run ahead of a checkpoint",
    from: 320,
    breaks: /I5/,
    file: "actors/conversation/checkpoints.ts",
    find: 'writer.hold("checkpoint");',
    replace: "",
  },
  {
    name: "a call that begins behind an ending",
    breaks: /I12/,
    file: "actors/conversation/effects.ts",
    find: "await thawed();\n    if (signal.aborted) return;\n    const tokensIn",
    replace: "const tokensIn",
  },
  {
    name: "a failed call that a cancel takes off the bill",
    from: 1_030,
    breaks: /I12/,
    file: "actors/conversation/effects.ts",
    find: "ended = failed;",
    replace: "call = null;",
  },
  {
    name: "a workspace that forgets the commands it has taken",
    from: 1_000_001,
    breaks: /I1|I2/,
    file: "actors/workspace/kind.ts",
    find: "commands_max: limits.workspace_commands_max,",
    replace: "commands_max: 0,",
  },
];

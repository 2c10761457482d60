/** `colloquy events`: the log itself, for whoever operates it. Each deed has a file in `events/`. */
import { data_flag } from "../line/arguments.ts";
import type { Command } from "../line/command.ts";
import { runExport, runImport } from "./archive.ts";
import { runReplay, runTail } from "./follow.ts";
import { scope_flags } from "./scope.ts";
import { runVerify } from "./verify.ts";

const json = "for programs";

export const events: Command = {
  summary: "the log itself",
  deeds: {
    tail: {
      summary: "shows events as they come, after the last ten commits",
      flags: {
        ...scope_flags,
        type: "<noun.verb> only of this type",
        from: "<sequence|time> and everything since",
        once: "ends where the log ends",
        json: "for programs, one event a line",
        ...data_flag,
      },
      run: runTail,
    },
    replay: {
      summary: "gives events out again, for integrations: one a line of JSON, or on a subject",
      flags: {
        from: "<sequence|time> where to begin",
        to: "<sequence|time> where to end; else where the log ends now",
        rate: "<number> of events a second at most",
        subject: "<subject> of NATS to publish them on; none of our own",
        ...scope_flags,
        type: "<noun.verb> only of this type",
        ...data_flag,
      },
      run: runReplay,
    },
    export: {
      summary: "writes the log into files, and goes on where it was when it is run again",
      words: "<folder>",
      words_max: 1,
      flags: {
        "with-keys": "also the content keys, wrapped as they lie in the vault",
        tenant: "<slug> only this tenant's; such a part cannot be imported",
        json,
        ...data_flag,
      },
      run: runExport,
    },
    import: {
      summary: "puts an export into an empty system, byte by byte at the same sequences",
      words: "<folder>",
      words_max: 1,
      flags: { json, ...data_flag },
      run: runImport,
    },
    verify: {
      summary: "proves that the log is whole, or says where it is not (exit code 1)",
      flags: {
        ...scope_flags,
        anchor: "<root> that was kept elsewhere: it must be one of this log's",
        json,
        ...data_flag,
      },
      run: runVerify,
    },
  },
};

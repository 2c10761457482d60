/**
 * One transaction for all that is to be written in the same moment: the lanes that a batch concerns.
 * Each would otherwise begin, write and commit by itself, one behind the other on PGlite, and pay for
 * its round trips and its flush on Postgres.
 *
 * They are tied to each other only as long as all goes well. When it does not, each runs again in a
 * transaction of its own, so that what fails with one projector's rows is that projector's alone.
 */
import { AppError } from "../schemas/errors.ts";
import type { Database, Sql } from "./postgres.ts";

interface Work {
  run(sql: Sql): Promise<unknown>;
  done(result: unknown): void;
  failed(error: unknown): void;
}

/**
 * The same database, whose transactions of one moment are one. A `work` may therefore run twice: what
 * it changes besides rows it changes when its transaction has resolved.
 */
export function jointly(database: Database): Database {
  let open: Work[] | null = null;

  const alone = async ({ run, done, failed }: Work): Promise<void> => {
    try {
      done(await database.transaction(run));
    } catch (error) {
      failed(error);
    }
  };
  const together = async (works: readonly Work[]): Promise<void> => {
    try {
      const results = await database.transaction(async (sql) => {
        // All to their end: none of them may write behind a rollback.
        const ended = await Promise.allSettled(works.map(({ run }) => run(sql)));
        return ended.map((one) => {
          if (one.status === "rejected") throw one.reason;
          return one.value;
        });
      });
      for (const [at, work] of works.entries()) work.done(results[at]);
    } catch (error) {
      // While the database is away, it is so for each of them.
      if (error instanceof AppError) for (const { failed } of works) failed(error);
      else await Promise.all(works.map(alone));
    }
  };

  return {
    ...database,
    transaction: <T>(run: (sql: Sql) => Promise<T>): Promise<T> =>
      new Promise<T>((resolve, failed) => {
        if (open === null) {
          const works: Work[] = (open = []);
          queueMicrotask(() => {
            open = null;
            const [only] = works;
            void (works.length === 1 && only !== undefined ? alone(only) : together(works));
          });
        }
        // What `run` gives is a T.
        open.push({ run, done: (result) => resolve(result as T), failed });
      }),
  };
}

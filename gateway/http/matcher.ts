/**
 * Finds an operation by its path: a tree of path parts, so that what a request costs depends on its
 * own path and not on how many operations there are. A literal part wins over a `{name}`.
 */
import type { Method, Operation } from "./operation.ts";

interface Node {
  readonly literal: Map<string, Node>;
  any: Node | null;
  /** There when a path ends here. */
  readonly methods: Map<Method, Leaf>;
}

/** An operation and the names of its `{…}`, in the path's order. */
interface Leaf {
  readonly operation: Operation;
  readonly names: readonly string[];
}

export interface Match {
  /** Methods of this path, in the table's order. */
  readonly methods: readonly Method[];
  /** Undefined when the path has no such method. */
  readonly operation: Operation | undefined;
  /** Decoded and bounded, but not checked. */
  readonly params: ReadonlyMap<string, string>;
}

export type Matcher = (method: string, path: string) => Match | null;

/** No id, name or number of ours is longer. */
const part_chars_max = 512;
const parts_max = 12;

const node = (): Node => ({ literal: new Map(), any: null, methods: new Map() });

/** Throws when two operations have the same method and path. */
export function matcher(operations: readonly Operation[]): Matcher {
  const root = node();
  for (const operation of operations) {
    const names: string[] = [];
    let at = root;
    for (const part of operation.path.split("/").slice(1)) {
      const name = /^\{(\w+)\}$/.exec(part)?.[1];
      if (name === undefined) {
        const next = at.literal.get(part) ?? node();
        at.literal.set(part, next);
        at = next;
      } else {
        names.push(name);
        at = at.any ??= node();
      }
    }
    const { method, path } = operation;
    if (at.methods.has(method)) throw new Error(`${method} ${path} is there twice`);
    at.methods.set(method, { operation, names });
  }
  return (method, path) => {
    const parts = path.split("/", parts_max + 2).slice(1);
    if (parts.length > parts_max) return null;
    const found = find(root, parts, 0, []);
    if (found === null) return null;
    const wished = method === "HEAD" ? "GET" : method;
    // A look-up by an unknown name gives undefined, which is what is asked for here.
    const leaf = found.node.methods.get(wished as Method);
    const params = new Map<string, string>();
    for (const [index, name] of (leaf?.names ?? []).entries()) {
      params.set(name, found.values[index] ?? "");
    }
    return { methods: [...found.node.methods.keys()], operation: leaf?.operation, params };
  };
}

function find(
  at: Node,
  parts: readonly string[],
  index: number,
  values: readonly string[],
): { readonly node: Node; readonly values: readonly string[] } | null {
  const part = parts[index];
  if (part === undefined) return at.methods.size === 0 ? null : { node: at, values };
  const literal = at.literal.get(part);
  const found = literal === undefined ? null : find(literal, parts, index + 1, values);
  if (found !== null || at.any === null) return found;
  const value = decoded(part);
  return value === null ? null : find(at.any, parts, index + 1, [...values, value]);
}

/** Null for what cannot be a name: empty, too long, not UTF-8, or a path of its own. */
function decoded(part: string): string | null {
  if (part === "" || part.length > part_chars_max) return null;
  try {
    const value = decodeURIComponent(part);
    return /[/\p{Cc}]/u.test(value) ? null : value;
  } catch {
    return null;
  }
}

/**
 * The Merkle tree of RFC 6962 §2.1 over SHA-256: leaves are hashed with a prefix of 0, nodes with 1,
 * so that no node can be passed off as a leaf. Built leaf by leaf, with one hash per level in memory.
 */
import { hash } from "node:crypto";

export interface MerkleTree {
  add(leaf: string): void;
  /** Hex; of no leaves, the hash of nothing. The tree may go on growing. */
  root(): string;
}

interface Subtree {
  readonly level: number;
  readonly hash: Buffer;
}

const leaf_prefix = Buffer.of(0);
const node_prefix = Buffer.of(1);

export function merkleTree(): MerkleTree {
  /** Whole subtrees from the left, each higher than the next. */
  const whole: Subtree[] = [];
  return {
    add(leaf) {
      let added: Subtree = {
        level: 0,
        hash: hash("sha256", Buffer.concat([leaf_prefix, Buffer.from(leaf)]), "buffer"),
      };
      for (let left = whole.at(-1); left?.level === added.level; left = whole.at(-1)) {
        whole.pop();
        added = { level: added.level + 1, hash: nodeOf(left.hash, added.hash) };
      }
      whole.push(added);
    },
    root() {
      const right = whole.at(-1)?.hash ?? hash("sha256", "", "buffer");
      return whole
        .slice(0, -1)
        .reduceRight((below, left) => nodeOf(left.hash, below), right)
        .toString("hex");
    },
  };
}

const nodeOf = (left: Buffer, right: Buffer): Buffer =>
  hash("sha256", Buffer.concat([node_prefix, left, right]), "buffer");

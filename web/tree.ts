/**
 * Questions about the tree of a conversation's messages: the path to the head, the branches beside a
 * message, and the leaf that choosing a branch leads to. Pure; never changes a view.
 */
import type { View, ViewMessage } from "./conversation.ts";

/** From the first message to the head, oldest first. */
export function pathToHead(view: View): ViewMessage[] {
  const path: ViewMessage[] = [];
  const seen = new Set<string>();
  let id = view.head;
  while (id !== null && !seen.has(id)) {
    seen.add(id);
    const message = view.messages.get(id);
    if (message === undefined) break;
    path.push(message);
    id = message.parent;
  }
  return path.toReversed();
}

/** Every message that follows the same parent and has the same role, oldest first. */
export function branches(view: View, message: ViewMessage): ViewMessage[] {
  return childrenOf(view, message.parent).filter(({ role }) => role === message.role);
}

/** The newest leaf below a message: where reading goes on when its branch is chosen. */
export function leafBelow(view: View, message: string): string {
  let leaf = message;
  for (
    let children = childrenOf(view, leaf);
    children.length > 0;
    children = childrenOf(view, leaf)
  ) {
    leaf = children.at(-1)?.id ?? leaf;
  }
  return leaf;
}

/** The text to show: of the answer being written what has come, of any other what is stored. */
export function textOf(view: View, message: ViewMessage): string {
  const { streaming } = view;
  // After a reload the stored beginning stands until the first frame replaces it.
  return streaming?.message === message.id && (streaming.text !== "" || streaming.attempt > 1)
    ? streaming.text
    : message.text;
}

function childrenOf(view: View, parent: string | null): ViewMessage[] {
  return [...view.messages.values()].filter((message) => message.parent === parent);
}

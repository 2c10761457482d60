/** What the page says to people when something fails: the code decides, never a raw message. */
import { ClientError } from "./client.ts";

const words: Readonly<Record<string, string>> = {
  unauthenticated: "You are signed out. Sign in again to go on.",
  token_expired: "You are signed out. Sign in again to go on.",
  bad_credentials: "This e-mail and password do not belong together.",
  email_taken: "There is an account with this e-mail already. Sign in instead.",
  registration_closed: "New accounts are made here by invitation only.",
  invitation_invalid: "This invitation is no longer good. Ask for another one.",
  bad_request: "Something here is not as it must be. Look at it once more.",
  forbidden: "Your role does not allow this.",
  not_found: "This conversation does not exist, or it is not yours.",
  message_not_found: "This message is no longer here.",
  model_not_found: "The model that was asked for is not set up here.",
  conversation_archived: "This conversation is archived. Restore it to write in it.",
  conversation_deleted: "This conversation has been deleted.",
  conversation_full: "This conversation has reached its limit. Begin a new one.",
  text_too_long: "This text is too long. Shorten it or send it in parts.",
  too_large: "This text is too long. Shorten it or send it in parts.",
  turn_running: "An answer is still being written. Wait for it or stop it first.",
  queue_full: "Too many messages are waiting already. Let some be answered first.",
  rate_limited: "That was a little fast. Wait a moment and try again.",
  overloaded: "The service is very busy. Try again in a moment.",
  unavailable: "A part of the service is not reachable. Try again in a moment.",
  unreachable: "The server cannot be reached. Your text is kept.",
  command_unanswered: "The service did not answer in time. Try again.",
  model_unavailable: "The model cannot be reached right now.",
  model_rate_limited: "The model's provider asks us to slow down. Try again shortly.",
  model_refused: "The model's provider refused the request. Its key or settings need a look.",
  model_timeout: "The model took too long to answer.",
  model_stream_cut: "The answer broke off before its end.",
  model_bad_answer: "The model's answer could not be read.",
  turn_attempts_exhausted: "This answer was interrupted too often.",
};

export const wordsOfCode = (code: string): string =>
  words[code] ?? "Something went wrong. Try again.";

export const wordsOf = (error: unknown): string =>
  wordsOfCode(error instanceof ClientError ? error.code : "internal");

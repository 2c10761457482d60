/**
 * The types that a key of the configuration may have: each says what its text must be, and turns it
 * into a value. What a key is for stands in the table (cli/config/keys.ts).
 */
import { isNetwork } from "../../gateway/limits/address.ts";
import { isHomeTenant } from "../../schemas/ids.ts";
import { readIssuers } from "../../schemas/issuers.ts";
import { parseJson } from "../../schemas/validate.ts";

/** Turns the text of a key into its value, or throws a `TypeError` that says what it must be. */
type Reader<T> = (text: string) => T;

interface Key<T> {
  readonly read: Reader<T>;
  /** The text that counts when the key is absent or empty; null when there is none. */
  readonly default: string | null;
  readonly type: string;
  readonly unit: string;
  readonly sentence: string;
  readonly secret: boolean;
}

const key =
  <T>(type: string, read: Reader<T>, unit = "") =>
  (fallback: string | null, sentence: string, secret = false): Key<T> => ({
    read,
    default: fallback,
    type,
    unit,
    sentence,
    secret,
  });

function must(holds: boolean, what: string): asserts holds {
  if (!holds) throw new TypeError(`must be ${what}`);
}

export const text = key("text", (value) => value);
export const port = key(
  "port",
  (value) => {
    must(/^\d{1,5}$/.test(value) && Number(value) <= 65_535, "a number from 0 to 65535");
    return Number(value);
  },
  "0 takes a free one",
);
export const minutes = key(
  "number",
  (value) => {
    must(/^\d{1,5}$/.test(value), "a whole number of minutes");
    return Number(value);
  },
  "minutes",
);
const most = (unit: string) =>
  key(
    "number",
    (value) => {
      must(/^\d{1,9}$/.test(value), "a whole number below a thousand millions; 0 switches it off");
      return Number(value);
    },
    unit,
  );
export const each_minute = most("in 60 s; 0: no limit");
export const at_once = most("at once; 0: no limit");
export const networks = key("addresses and networks, separated by commas", (value) => {
  const list = value
    .split(",")
    .map((network) => network.trim())
    .filter((network) => network !== "");
  must(list.every(isNetwork), "addresses or networks like 10.0.0.0/8, separated by commas");
  return list;
});
export const url = (...schemes: readonly string[]) =>
  key(`URL (${schemes.join(", ")})`, (value) => {
    const fits = URL.canParse(value) && schemes.includes(new URL(value).protocol.slice(0, -1));
    must(fits, `a URL that begins with ${schemes.map((scheme) => `${scheme}://`).join(" or ")}`);
    return value;
  });
export const choice = <C extends string>(...choices: readonly C[]) =>
  key(choices.join(" \\| "), (value): C => {
    const chosen = choices.find((one) => one === value);
    must(chosen !== undefined, `one of ${choices.join(", ")}`);
    return chosen;
  });
export const secret = key("text, 32 characters or more", (value) => {
  must(value.length >= 32, "at least 32 characters long");
  return new TextEncoder().encode(value);
});
export const secrets = key("texts of 32 characters or more, separated by commas", (value) => {
  const list = value.split(",").filter((one) => one !== "");
  must(
    list.every((one) => one.length >= 32),
    "secrets of at least 32 characters, separated by commas",
  );
  return list.map((one) => new TextEncoder().encode(one));
});
export const files = key("paths, separated by commas", (value) =>
  value
    .split(",")
    .map((path) => path.trim())
    .filter((path) => path !== ""),
);
export const issuers = key("JSON list of issuers", (value) => readIssuers(parseJson(value)));
export const masterKey = key("32 bytes as 64 hex digits or base64", (value) => {
  const hex = /^[0-9a-fA-F]{64}$/.test(value);
  const bytes = Buffer.from(value, hex ? "hex" : "base64");
  must(
    hex || (bytes.length === 32 && /^[A-Za-z0-9+/_-]{43}=?$/.test(value)),
    "32 bytes, written as 64 hex digits or as base64",
  );
  return new Uint8Array(bytes);
});
export const tenant = key("slug", (value) => {
  must(isHomeTenant(value), "a slug of a-z, 0-9 and -, at most 63 long, and not accounts");
  return value;
});
export const tenants = key("slugs, separated by commas", (value) => {
  const list = value
    .split(",")
    .map((one) => one.trim())
    .filter((one) => one !== "");
  // The readers of webhooks have names of their own that begin so.
  const fit = list.every((one) => isHomeTenant(one) && !one.startsWith("webhook-"));
  must(fit, "slugs of tenants, separated by commas, none of which begins with webhook-");
  return list;
});
export const origins = key("origins, separated by commas", (value) => {
  const list = value
    .split(",")
    .map((origin) => origin.trim())
    .filter((origin) => origin !== "");
  const fits = list.every((origin) => URL.canParse(origin) && new URL(origin).origin === origin);
  must(fits, "origins like https://chat.example.com, separated by commas");
  return list;
});

import { isIPv6 } from "node:net";

/** Groups of 16 bits that identify an IPv6 customer, who has at least a /64. */
const networkGroups = 4;

/**
 * The key by which limits count addresses: an IPv4 address as it is, an IPv6 address by its /64, because its owner can use
 * any address in it.
 */
export function addressGroup(address: string): string {
  if (!address.includes(":")) return address;
  const [plain = ""] = address.split("%");
  if (!isIPv6(plain)) return address;
  const [head = "", tail] = plain.toLowerCase().split("::");
  const groups = groupsOf(head);
  if (tail !== undefined)
    groups.push(...Array<string>(8 - groups.length - groupsOf(tail).length).fill("0"), ...groupsOf(tail));
  return `${groups.slice(0, networkGroups).map(plainGroup).join(":")}::/64`;
}

/** A trailing IPv4 address stands for two groups; their values do not matter, because they are beyond the /64. */
function groupsOf(part: string): string[] {
  if (part === "") return [];
  const groups = part.split(":");
  return groups.at(-1)?.includes(".") ? [...groups.slice(0, -1), "0", "0"] : groups;
}

const plainGroup = (group: string): string => Number.parseInt(group, 16).toString(16);

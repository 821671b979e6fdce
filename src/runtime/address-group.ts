import { isIPv6 } from "node:net";

/** Groups of 16 bits that one IPv6 customer holds: a /64 at least. */
const networkGroups = 4;

/**
 * What limits count addresses by: an IPv4 address as it is, an IPv6 address by its /64, since whoever has one of those
 * has them all.
 */
export function addressGroup(address: string): string {
  const [plain = ""] = address.split("%");
  if (!isIPv6(plain)) return address;
  const [head = "", tail] = plain.toLowerCase().split("::");
  const groups = groupsOf(head);
  if (tail !== undefined)
    groups.push(...Array<string>(8 - groups.length - groupsOf(tail).length).fill("0"), ...groupsOf(tail));
  return `${groups.slice(0, networkGroups).map(plainGroup).join(":")}::/64`;
}

/** An IPv4 address at the end stands for two groups; which ones does not matter, they lie beyond the network. */
function groupsOf(part: string): string[] {
  if (part === "") return [];
  const groups = part.split(":");
  return groups.at(-1)?.includes(".") ? [...groups.slice(0, -1), "0", "0"] : groups;
}

const plainGroup = (group: string): string => Number.parseInt(group, 16).toString(16);

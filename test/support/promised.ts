import { availableParallelism, loadavg } from "node:os";

/** As many runnable processes per core as the tests themselves make. */
const ownLoad = 2;

/**
 * How long something may take that is promised within `ms`: longer, in proportion, if other programs keep the machine
 * busy, since whatever waits for a core then is late whoever wrote it.
 */
export const promised = (ms: number): number => ms * Math.max(1, loadavg()[0]! / (ownLoad * availableParallelism()));

/** Lets programs of this checkout import `tidegate` without building it, and its other entries. */
import "../src/cli/own-sources.ts";

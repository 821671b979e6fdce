import { useEffect, useMemo } from "preact/hooks";

/** A model that lives as long as its view is on the page. */
export function useModel<Model extends { stop(): void }>(create: () => Model, inputs: readonly unknown[]): Model {
  const model = useMemo(create, inputs);
  useEffect(() => () => model.stop(), [model]);
  return model;
}

import { useEffect, useMemo } from "preact/hooks";

/** Creates a model and stops it when its component unmounts. */
export function useModel<Model extends { stop(): void }>(create: () => Model, inputs: readonly unknown[]): Model {
  const model = useMemo(create, inputs);
  useEffect(() => () => model.stop(), [model]);
  return model;
}

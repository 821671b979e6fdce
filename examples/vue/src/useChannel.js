import { inject, onScopeDispose, ref, shallowRef } from "vue";

/** Follows a channel while the component lives: `{ state, publications, publish }`, kept up to date across disconnects. */
export function useChannel(name, { keep = 100, history = 20 } = {}) {
  const channel = inject("client").channel(name);
  const state = ref(channel.state);
  const publications = shallowRef([]);
  const show = (more) => (publications.value = [...publications.value, ...more].slice(-keep));
  const offs = [
    channel.on("state", (change) => (state.value = change.state)),
    channel.on("publication", (publication) => show([publication])),
    // What was missed is lost: what is shown no longer belongs together.
    channel.on("reset", () => (publications.value = [])),
  ];
  // The history first, then everything after it.
  const held = channel.history({ limit: history }).then(
    ({ epoch, offset, publications: earlier }) => {
      show(earlier);
      return channel.acquire({ since: { epoch, offset } });
    },
    () => channel.acquire(),
  );
  onScopeDispose(async () => {
    for (const off of offs) off();
    await (await held).release();
  });
  return { state, publications, publish: channel.publish.bind(channel) };
}

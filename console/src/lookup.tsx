import { textsOf } from "./form.ts";
import { link } from "./parts.tsx";

/** Opens a view for a name that is typed in. */
export function Lookup({ view, label, value }: { view: string; label: string; value: string }) {
  function open(event: Event): void {
    const { name = "" } = textsOf(event);
    if (name !== "") location.hash = link(view, name);
  }
  return (
    <form class="search" role="search" onSubmit={open}>
      <label>
        {label} <input key={value} name="name" defaultValue={value} required />
      </label>
      <button>Open</button>
    </form>
  );
}
